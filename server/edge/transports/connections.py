"""The settings of a transport's connections: keepalive, maximum age and the TLS certificate."""

from collections.abc import Callable
from dataclasses import dataclass

from server.edge.access.certificate import Certificate

KEEPALIVE_ANSWER_SECONDS = 20.0


class CurrentCertificate:
    """The certificate for new connections, which may change while the server runs."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self._callbacks: list[Callable[[], None]] = []

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Call back after every change."""
        self._callbacks.append(callback)

    def change(self, certificate: Certificate) -> None:
        """Use another certificate for new connections."""
        self.certificate = certificate
        for callback in self._callbacks:
            callback()


@dataclass(frozen=True, slots=True)
class Connections:
    """The settings of every connection."""

    keepalive_seconds: float  # silence after which a connection is pinged
    max_age_seconds: float  # age after which a connection takes no new calls; 0: no limit
    grace_seconds: float  # time for its open calls to end after that
    current_certificate: CurrentCertificate | None = None  # None: no encryption
