"""Waiting for what another process will do."""

import time
from collections.abc import Callable

SECONDS = 20.0


def wait_until(truth: Callable[[], bool]) -> None:
    """Ask until it holds; an error if it does not come to."""
    end = time.monotonic() + SECONDS
    while not truth():
        assert time.monotonic() < end
        time.sleep(0.02)
