"""The web page's files (in the folder page/), read once and kept as responses."""

import hashlib
from collections.abc import Mapping
from importlib import resources

from server.edge.web.response import Response

_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
# The page loads nothing from other servers, has no inline code, and may not be framed by other pages.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_INDEX = "index.html"


def read() -> dict[str, Response]:
    """Responses by path: index.html at /, the other files under /page/."""
    files = {file.name: file.read_bytes() for file in resources.files(__package__).joinpath("page").iterdir()}
    return {"/" if name == _INDEX else f"/page/{name}": _response(name, body) for name, body in files.items()}


def fresh(response: Response, headers: Mapping[bytes, bytes]) -> Response:
    """The response, or 304 if the browser has this version already."""
    if headers.get(b"if-none-match") == dict(response.headers)[b"etag"]:
        return Response(304, response.headers)
    return response


def _response(name: str, body: bytes) -> Response:
    return Response(
        200,
        (
            (b"content-type", _TYPES[name[name.rindex(".") :]]),
            (b"etag", b'"%s"' % hashlib.sha256(body).hexdigest()[:16].encode()),
            (b"cache-control", b"no-cache"),  # browsers ask every time, and mostly get a 304
            (b"content-security-policy", _POLICY),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ),
        body,
    )
