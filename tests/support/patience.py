"""Waiting for what other processes do in their own time, which cannot tell when it is done."""

import time
from collections.abc import Callable

SECONDS = 60.0  # for what takes a scrape, an evaluation or a restart


def until(holds: Callable[[], object]) -> None:
    """Wait for something that becomes true by itself. Raises AssertionError if it does not."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, f"not so after {SECONDS:g} s"
        time.sleep(0.2)
