"""Which pages may call.

A browser lets every page send requests to every server it reaches, this one on the loopback interface among them, and
says in `origin` whose page it was. Without an origin no page is behind a POST.
"""

import ipaddress
from collections.abc import Mapping

from server.edge.web.response import Headers

ANY = "*"
# What a script may read of an answer beside its body, and send beside its content type.
_EXPOSED = b"trailer-vae-queue-seconds, trailer-vae-run-seconds, trailer-vae-batch-rows, retry-after"
_SENT = b"content-type, authorization, connect-protocol-version, connect-timeout-ms"
_PREFLIGHT_SECONDS = b"7200"


class CorsPolicy:
    """The server's own page, and those of origins that were named."""

    def __init__(self, *named: str) -> None:
        """Origins as browsers write them, https://name or http://name:port; * is every one."""
        self._named = frozenset(origin.lower() for origin in named)

    def refusal(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Why this request's page may not call; None if it may or if there is none."""
        given = headers.get(b"origin")
        if given is None:
            return None
        origin = given.decode("latin-1").lower()
        if self._is_named(origin) or _is_own(origin, headers.get(b"host", b"").decode("latin-1").lower()):
            return None
        return f"pages of {origin!r} may not call here; if they should, name that in --web-origins"

    def allowance(self, headers: Mapping[bytes, bytes]) -> Headers:
        """What lets a page of another origin read the answer; nothing for pages that may not or need not be told."""
        origin = headers.get(b"origin", b"")
        if not self._named or not self._is_named(origin.decode("latin-1").lower()):
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        )

    def preflight(self, headers: Mapping[bytes, bytes]) -> Headers:
        """What a browser wants to know before it sends a page's request."""
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
    """Whether the page came from this server, and not from one that took on its address.

    Whoever owns a name may let it point here after the page has been loaded (DNS rebinding). No name is behind an
    address, localhost is nobody's, and https proves names.
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
