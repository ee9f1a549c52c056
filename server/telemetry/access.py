"""The access log: one line for a call; of those that went well a sample, of the others all up to a bound a second."""

import random
import time
from collections.abc import Callable

from server.core.events import CallHandled
from server.telemetry.logs import Log

# A storm of refusals must not become one of log lines, each of which takes time from those who are served.
MOST_PER_SECOND = 100  # of calls that did not end OK


class AccessLog:
    """Who asked for what and what became of it, without payloads, metadata or messages."""

    def __init__(
        self,
        log: Log,
        *,
        rate: float,
        choose: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rate` 0..1 is the share of the calls that end OK to be logged; `choose` gives uniform numbers in [0, 1)."""
        self._log = log
        self._rate = rate
        self._choose = choose
        self._clock = clock
        self._second = -1  # of the clock, in which `_lines` were written
        self._lines = 0
        self._unlogged = 0

    def handled(self, event: CallHandled) -> None:
        """Log a call, or not."""
        if event.code == "OK":
            if self._rate and self._choose() < self._rate:
                self._log.info("call", **_facts(event))
        elif self._may_write():
            unlogged, self._unlogged = self._unlogged, 0
            more = {"unlogged": unlogged} if unlogged else {}
            self._log.warning("call", **_facts(event), **more)
        else:
            self._unlogged += 1

    def _may_write(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= MOST_PER_SECOND


def _facts(event: CallHandled) -> dict[str, str | int | float]:
    record, total = event.record, event.record.total()
    facts: dict[str, str | int | float] = {
        "method": f"{event.rpc.service}/{event.rpc.method}",
        "code": event.code,
        "seconds": round(event.seconds, 6),
    }
    if record.tenant:
        facts["tenant"] = record.tenant
    if record.model:
        facts |= {"model": record.model, "version": record.version, "rows": record.rows}
    if record.timings:
        facts |= {"queue_seconds": round(total.queue_seconds, 6), "run_seconds": round(total.run_seconds, 6)}
        facts["batch_rows"] = total.batch_rows
    if event.trace and event.trace.id:
        facts["trace_id"] = event.trace.id
    return facts
