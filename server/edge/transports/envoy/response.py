"""Writes answers as ASGI events: status and metadata as headers or trailers, messages as the body."""

import base64
from typing import Any, TypeAlias
from urllib.parse import quote

from server.edge.status import Code, Status, Trailers
from server.edge.transports.envoy.frames import frame

Headers: TypeAlias = list[tuple[bytes, bytes]]
Event: TypeAlias = dict[str, Any]

_CONTENT_TYPE = (b"content-type", b"application/grpc")
# In grpc-message, all printable ASCII except "%" stays as it is.
_UNQUOTED = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_CODES = {code: (b"grpc-status", b"%d" % code) for code in Code}

START: Event = {"type": "http.response.start", "status": 200, "headers": [_CONTENT_TYPE], "trailers": True}
LAST: Event = {"type": "http.response.body", "body": b""}


def trailers_only(status: Status) -> Event:
    """The start of an answer that is only a status; LAST ends it."""
    return {"type": "http.response.start", "status": 200, "headers": [_CONTENT_TYPE, *_of_status(status)]}


def only(message: bytes) -> Event:
    """The body of an answer with one message."""
    return {"type": "http.response.body", "body": frame(message)}


def one_of_many(message: bytes) -> Event:
    """One of several messages in the body of an answer."""
    return {"type": "http.response.body", "body": frame(message), "more_body": True}


def trailers(status: Status) -> Event:
    """The end of an answer that had a body."""
    return {"type": "http.response.trailers", "headers": _of_status(status)}


def http_error(status: int, *headers: tuple[bytes, bytes]) -> Event:
    """The start of an answer to a request that is not a gRPC call; LAST ends it."""
    return {"type": "http.response.start", "status": status, "headers": headers}


def metadata(pairs: Trailers) -> Headers:
    """Keys and values as header fields; values that are bytes travel as base64 without padding."""
    return [
        (key.encode(), base64.b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode("ascii"))
        for key, value in pairs
    ]


def _of_status(status: Status) -> Headers:
    headers = [_CODES[status.code]]
    if status.message:
        headers.append((b"grpc-message", quote(status.message, safe=_UNQUOTED).encode()))
    if status.trailers:
        headers += metadata(status.trailers)
    return headers
