"""Cross-origin requests (CORS): which web pages may call.

A browser lets any page send requests to any server that it can reach, also on the loopback interface. Its `origin`
header says which site the page came from. A POST without that header was not sent by a page.
"""

import ipaddress
from collections.abc import Mapping

from server.edge.web.response import Headers

ANY = "*"
# The headers that a page's script may read from an answer, and those that it may send.
_EXPOSED = b"trailer-vae-queue-seconds, trailer-vae-run-seconds, trailer-vae-batch-rows, retry-after"
_SENT = b"content-type, authorization, connect-protocol-version, connect-timeout-ms"
_PREFLIGHT_SECONDS = b"7200"


class CorsPolicy:
    """Allows the server's own page and the pages of the configured origins."""

    def __init__(self, *named: str) -> None:
        """`named` are origins as browsers write them, https://name or http://name:port; * allows every origin."""
        self._named = frozenset(origin.lower() for origin in named)

    def refusal(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Why the page that sent this request may not call; None if it may, or if no page sent it."""
        given = headers.get(b"origin")
        if given is None:
            return None
        origin = given.decode("latin-1").lower()
        if self._is_named(origin) or _is_own(origin, headers.get(b"host", b"").decode("latin-1").lower()):
            return None
        return f"pages of {origin!r} may not call this server; to allow them, add the origin to --web-origins"

    def allowance(self, headers: Mapping[bytes, bytes]) -> Headers:
        """The headers that let a page of another origin read the answer; none for pages that may not or need not."""
        origin = headers.get(b"origin", b"")
        if not self._named or not self._is_named(origin.decode("latin-1").lower()):
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        )

    def preflight(self, headers: Mapping[bytes, bytes]) -> Headers:
        """The headers that answer a browser's preflight request, which comes before a page's own one."""
        allowed = self.allowance(headers)
        if not allowed:
            return ()
        return (
            *allowed,
            (b"access-control-allow-methods", b"POST"),
            (b"access-control-allow-headers", _SENT),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        )

    def _is_named(self, origin: str) -> bool:
        return origin in self._named or ANY in self._named


def _is_own(origin: str, host: str) -> bool:
    """Whether the page came from this server, and not from a site that uses DNS rebinding.

    The owner of a domain can make its name point to this server after the browser has loaded a page from it. That
    cannot be done with an IP address or with localhost, and not over https, where the certificate proves the name.
    """
    scheme, _, authority = origin.partition("://")
    if not host or authority != host:
        return False
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return scheme == "https" or name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
