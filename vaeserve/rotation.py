"""The connections of one client, used in turn."""

import itertools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from vaeserve import channel
from vaeserve.errors import InvalidInput

C = TypeVar("C")


class Rotation(Generic[C]):
    """Channels of one kind to one target, each with its own connection."""

    def __init__(self, make: Callable[[Sequence[tuple[str, str | int]]], C], channels: int) -> None:
        """`make` makes a channel from its options. Raises InvalidInput for fewer than one channel."""
        if channels < 1:
            raise InvalidInput.field("channels", f"must be at least 1, got {channels}")
        options = channel.OPTIONS if channels == 1 else (*channel.OPTIONS, channel.OWN_CONNECTION)
        self.all = tuple(make(options) for _ in range(channels))
        self._turns = itertools.cycle(self.all)

    def next(self) -> C:
        """The next channel in turn. Thread-safe."""
        return next(self._turns)
