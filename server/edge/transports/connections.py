"""How connections are kept, and how they are protected: what transports are told beside the calls they carry."""

from collections.abc import Callable
from dataclasses import dataclass

from server.edge.access.certificate import Certificate

KEEPALIVE_ANSWER_SECONDS = 20.0


class CurrentCertificate:
    """The certificate that new connections see; it may be another one tomorrow."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self._told: list[Callable[[], None]] = []

    def when_changed(self, tell: Callable[[], None]) -> None:
        self._told.append(tell)

    def change(self, certificate: Certificate) -> None:
        self.certificate = certificate
        for tell in self._told:
            tell()


@dataclass(frozen=True, slots=True)
class Connections:
    """What every connection gets."""

    keepalive_seconds: float  # one that was silent for so long is asked whether it lives
    max_age_seconds: float  # after which it takes no new calls; 0: any age
    grace_seconds: float  # for the calls that it has then
    current_certificate: CurrentCertificate | None = None  # None: no encryption
