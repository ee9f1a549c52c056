"""One server under one load: what its callers saw, what it weighed, and what else the machine was doing."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.generator import Generator, Load
from bench.machine import busy_ticks, own_ticks, tree_pss_mib, tree_ticks
from bench.served import Running


@dataclass(frozen=True, slots=True)
class Measured:
    """A server under load."""

    good: Load
    rubbish: Load | None  # what the callers saw that sent rubbish, if any did
    pss_mib: float  # of the server and its children, in the middle of it
    others: float  # the part of the machine that went to neither server nor generator, 0..1


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads a server for `seconds` at a time, after a quarter of that as warm-up."""

    generator: Generator
    running: Running
    seconds: float

    def load(
        self,
        method: str,
        *,
        callers: int,
        payloads: Sequence[bytes] = (),
        rubbish: bytes | None = None,
        calls: int | None = None,
    ) -> Measured:
        """Measure once; with `calls` until so many good calls are answered. Raises RuntimeError if nobody answers."""
        pid, weights = self.running.pid, list[float]()
        began, busy, ours = time.monotonic(), busy_ticks(), own_ticks() + tree_ticks(pid)
        good, bad = self.generator.run(
            self.running.target,
            method,
            callers=callers,
            seconds=self.seconds,
            warm_up=self.seconds / 4,
            payloads=payloads,
            rubbish=rubbish,
            calls=calls,
            halfway=lambda: weights.append(tree_pss_mib(pid)),
        )
        elsewhere = busy_ticks() - busy - (own_ticks() + tree_ticks(pid) - ours)
        machine = (time.monotonic() - began) * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
        return Measured(good, bad, max(weights, default=tree_pss_mib(pid)), max(0.0, elsewhere / machine))
