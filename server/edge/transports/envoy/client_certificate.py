"""Reads the names of a verified client certificate from the header that Envoy sets (a caller's own one is removed)."""

import re
from collections.abc import Mapping, Sequence

CLIENT_CERTIFICATE = b"x-forwarded-client-cert"
# KEY=VALUE;KEY=VALUE: a value that contains a separator is in double quotes, with a backslash before inner quotes.
_PAIR = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^;,"]*))(?:;|$)')


def of_headers(headers: Mapping[bytes, bytes]) -> Sequence[str]:
    """The DNS names and URIs of the client certificate behind a request's header fields."""
    return certificate_names(headers.get(CLIENT_CERTIFICATE, b"").decode("latin-1"))


def certificate_names(header: str) -> Sequence[str]:
    """The DNS names and URIs in the header's value; none if any part of it cannot be parsed."""
    names = []
    end = 0
    while end < len(header):
        match = _PAIR.match(header, end)
        if match is None:
            return ()
        key, quoted, bare = match.groups()
        if key in {"DNS", "URI"}:
            names.append(bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        end = match.end()
    return names
