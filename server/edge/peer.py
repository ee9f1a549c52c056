"""Who is at the other end of a call, as far as a transport can tell."""

from collections.abc import Sequence
from typing import Protocol


class Peer(Protocol):
    """Asked only where somebody wants to know: an open server never looks."""

    @property
    def authorization(self) -> str:
        """The call's `authorization` metadata; empty if there is none."""

    @property
    def certificate_names(self) -> Sequence[str]:
        """DNS names and URIs of the client certificate that the transport has verified."""


class Nobody:
    """A peer of whom nothing is known."""

    authorization = ""
    certificate_names: Sequence[str] = ()


NOBODY = Nobody()
