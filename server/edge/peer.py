"""Who is at the other end of a call, as far as a transport can tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.edge.metadata import NO_METADATA, Metadata


class Peer(Protocol):
    """Asked only where somebody wants to know: an open server without traces never looks."""

    @property
    def metadata(self) -> Metadata:
        """What it sent beside its message."""

    @property
    def certificate_names(self) -> Sequence[str]:
        """DNS names and URIs of the client certificate that the transport has verified."""


@dataclass(frozen=True, slots=True)
class DescribedPeer:
    """A peer as far as its request says."""

    metadata: Metadata
    certificate_names: Sequence[str]


class AnonymousPeer:
    """A peer of whom nothing is known."""

    metadata = NO_METADATA
    certificate_names: Sequence[str] = ()


ANONYMOUS = AnonymousPeer()
