"""The peer of a call: what a transport knows of the caller, its metadata and its client certificate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.edge.metadata import NO_METADATA, Metadata


class Peer(Protocol):
    """Reads metadata and certificate only when asked: a server without tenants and traces never needs them."""

    @property
    def metadata(self) -> Metadata:
        """What the caller sent besides its message."""

    @property
    def certificate_names(self) -> Sequence[str]:
        """DNS names and URIs of the client certificate that the transport has verified."""


@dataclass(frozen=True, slots=True)
class DescribedPeer:
    """A peer whose metadata and certificate names are given."""

    metadata: Metadata
    certificate_names: Sequence[str]


class AnonymousPeer:
    """A peer without metadata and certificate."""

    metadata = NO_METADATA
    certificate_names: Sequence[str] = ()


ANONYMOUS = AnonymousPeer()
