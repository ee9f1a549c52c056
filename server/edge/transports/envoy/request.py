"""Reads a call's request headers by the gRPC HTTP/2 specification."""

import re
from collections.abc import Mapping

from server.edge.status import Code, RefusedCall, Status

SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")


def speaks_grpc(content_type: bytes) -> bool:
    """Whether the body is gRPC with any message format. gRPC-Web does not count."""
    return content_type == b"application/grpc" or content_type.startswith((b"application/grpc+", b"application/grpc;"))


def seconds_left(headers: Mapping[bytes, bytes]) -> float | None:
    """The caller's timeout; None if it sets none. Raises RefusedCall."""
    text = headers.get(b"grpc-timeout")
    if text is None:
        return None
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        got = text.decode("ascii", "replace")
        raise RefusedCall(Status(Code.INTERNAL, f"grpc-timeout must be 1 to 8 digits and one of HMSmun, got {got!r}"))
    return int(match[1]) * SECONDS[match[2]]


def takes_trailers(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the caller, and every proxy on the way, passes trailers on."""
    return headers.get(b"te") == b"trailers"
