"""Waiting for what another process does in its own time and does not report."""

import time
from collections.abc import Callable

SLOW_SECONDS = 60.0  # for what takes a start, a scrape, an evaluation of rules or a restart


def wait_until(
    truth: Callable[[], object], *, seconds: float = 20.0, otherwise: Callable[[], str] = lambda: "it is not so"
) -> None:
    """Ask again, less and less often, until it holds. Raises AssertionError with `otherwise()` if that is too late."""
    end = time.monotonic() + seconds
    pause = 0.02
    while not truth():
        assert time.monotonic() < end, f"{otherwise()}, after {seconds:g} s"
        time.sleep(pause)
        pause = min(2 * pause, 0.2)
