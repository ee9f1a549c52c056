"""Ctrl-C and SIGTERM as a question the training loop can ask between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether, and by which signal, an end was asked for."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def asked(self) -> bool:
        return self.signal is not None


@contextmanager
def listening() -> Iterator[Interruption]:
    """Note the first SIGINT or SIGTERM; a second one has its usual effect at once."""
    interruption = Interruption()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        for restored, handler in previous.items():
            signal.signal(restored, handler)

    for number in previous:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
