"""gRPC-Web as a browser speaks it: HTTP/1.1, frames in the body, trailers as the last of them."""

import urllib.error
import urllib.request
from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)
TRAILERS = 0x80  # the flag of the frame that holds them


def call(target: str, method: str, request: Message, response: type[M]) -> M:
    """One unary call of VaeService. Raises AssertionError unless its status is OK."""
    message = request.SerializeToString()
    http = urllib.request.Request(
        f"http://{target}/vaeserve.v1.VaeService/{method}",
        data=b"\0" + len(message).to_bytes(4, "big") + message,
        headers={"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"},
    )
    with urllib.request.urlopen(http, timeout=10) as answer:  # the URL is ours
        assert answer.headers["content-type"] == "application/grpc-web+proto", answer.headers
        frames = _frames(answer.read())
    assert "grpc-status:0" in frames[TRAILERS].decode().replace(" ", ""), frames[TRAILERS]
    return response.FromString(frames[0])


def allowed_origin(target: str, origin: str) -> str | None:
    """The origin that the server allows when a browser asks for this one before a call (CORS preflight)."""
    preflight = urllib.request.Request(
        f"http://{target}/vaeserve.v1.VaeService/Sample",
        method="OPTIONS",
        headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
    )
    try:
        with urllib.request.urlopen(preflight, timeout=10) as answer:
            return answer.headers.get("access-control-allow-origin")
    except urllib.error.HTTPError as error:  # of an origin without permission: the server treats it as a call
        with error:
            return error.headers.get("access-control-allow-origin")


def _frames(body: bytes) -> dict[int, bytes]:
    """The frames by flag: the only message (0) and the trailers."""
    frames = {}
    while body:
        length = int.from_bytes(body[1:5], "big")
        frames[body[0]], body = body[5 : 5 + length], body[5 + length :]
    return frames
