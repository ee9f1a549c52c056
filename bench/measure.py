"""Measures one server under one load: its callers' figures, its memory, and the share of other processes."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.generator import Generator, Load
from bench.machine import busy_ticks, own_ticks, tree_pss_mib, tree_ticks
from bench.server_process import RunningServer


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one server under one load."""

    good: Load
    rubbish: Load | None  # of the callers that sent rubbish, if any did
    pss_mib: float  # of the server and its children, halfway through
    others: float  # share of the machine's processor time that neither server nor generator used, 0..1


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads a server for `seconds` at a time, after a quarter of that as warm-up."""

    generator: Generator
    running: RunningServer
    seconds: float

    def load(
        self,
        method: str,
        *,
        callers: int,
        payloads: Sequence[bytes] = (),
        rubbish: bytes | None = None,
        calls: int | None = None,
    ) -> Measurement:
        """Measure once, or until `calls` good calls are answered. Raises RuntimeError if no server answers."""
        pid, pss_mib = self.running.pid, list[float]()
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
            halfway=lambda: pss_mib.append(tree_pss_mib(pid)),
        )
        elsewhere = busy_ticks() - busy - (own_ticks() + tree_ticks(pid) - ours)
        machine = (time.monotonic() - began) * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
        return Measurement(good, bad, max(pss_mib, default=tree_pss_mib(pid)), max(0.0, elsewhere / machine))
