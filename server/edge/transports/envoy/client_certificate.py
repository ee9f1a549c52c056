"""What Envoy says of a verified client certificate, in a header that it takes from every caller and sets itself."""

import re
from collections.abc import Mapping, Sequence

CLIENT_CERTIFICATE = b"x-forwarded-client-cert"
# KEY=VALUE;KEY=VALUE: a value with a separator in it stands in double quotes, and a quote in those behind a backslash.
_PAIR = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^;,"]*))(?:;|$)')


def of_headers(headers: Mapping[bytes, bytes]) -> Sequence[str]:
    """The names in the header fields of a request."""
    return certificate_names(headers.get(CLIENT_CERTIFICATE, b"").decode("latin-1"))


def certificate_names(header: str) -> Sequence[str]:
    """Its DNS names and URIs. Nothing of a header that is not wholly understood."""
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
