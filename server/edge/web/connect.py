"""The Connect protocol (https://connectrpc.com/docs/protocol): reads a call's headers, writes its HTTP response.

Unary calls only. Trailing metadata are sent as header fields `trailer-...`.
"""

import base64
import math
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.rpc import status_pb2

from server.edge.boundary import Reply
from server.edge.status import Code, RefusedCall, Status, Trailers
from server.edge.web.response import Response, as_json

# From the section "Error Codes" of the protocol.
HTTP_STATUS: dict[Code, int] = {
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
_DETAILS = "grpc-status-details-bin"
_PUSHBACK = "grpc-retry-pushback-ms"
_TIMEOUT = re.compile(rb"[0-9]{1,10}")


def seconds_left(headers: Mapping[bytes, bytes]) -> float | None:
    """The caller's timeout; None if it sets none. Raises RefusedCall."""
    text = headers.get(b"connect-timeout-ms")
    if text is None:
        return None
    if not _TIMEOUT.fullmatch(text):
        raise RefusedCall(
            Status(Code.INVALID_ARGUMENT, f"connect-timeout-ms must be 1 to 10 digits, got {_shown(text)}")
        )
    return int(text) / 1000


def check(headers: Mapping[bytes, bytes]) -> None:
    """Raise RefusedCall if the protocol's version or the body's encoding is not supported."""
    version = headers.get(b"connect-protocol-version", b"1")
    if version != b"1":
        raise RefusedCall(Status(Code.INVALID_ARGUMENT, f"connect-protocol-version must be 1, got {_shown(version)}"))
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding != b"identity":
        raise RefusedCall(Status(Code.UNIMPLEMENTED, f"content-encoding must be identity, got {_shown(encoding)}"))


def answer(reply: Reply, content_type: bytes) -> Response:
    """The response for a call's reply."""
    assert reply.status is not None
    if reply.payload is None:
        return error(reply.status)
    return Response(200, ((b"content-type", content_type), *_metadata(reply.status.trailers)), reply.payload)


def error(status: Status, *, http_status: int | None = None) -> Response:
    """The response for a status other than OK."""
    name = "canceled" if status.code is Code.CANCELLED else status.code.name.lower()
    trailers = dict(status.trailers)
    body: dict[str, Any] = {"code": name, "message": status.message}
    packed = trailers.pop(_DETAILS, None)
    if isinstance(packed, bytes):
        body["details"] = [_detail(detail) for detail in status_pb2.Status.FromString(packed).details]
    headers = _metadata(tuple(trailers.items()))
    if _PUSHBACK in trailers:
        # Plain HTTP clients know this header, in whole seconds.
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(int(trailers[_PUSHBACK]) / 1000))))
    return as_json(http_status or HTTP_STATUS[status.code], body, *headers)


def _detail(detail: Any) -> dict[str, Any]:
    debug = json_format.MessageToDict(detail)
    debug.pop("@type")
    return {"type": detail.TypeName(), "value": _base64(detail.value), "debug": debug}


def _metadata(trailers: Trailers) -> list[tuple[bytes, bytes]]:
    return [
        (b"trailer-" + key.encode(), (_base64(value) if isinstance(value, bytes) else value).encode("ascii"))
        for key, value in trailers
    ]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).rstrip(b"=").decode()


def _shown(value: bytes) -> str:
    return repr(value[:40].decode("ascii", "replace"))
