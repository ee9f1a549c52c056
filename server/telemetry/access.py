"""The access log: one line for a call. OK calls are sampled; other calls are all logged, up to a limit per second."""

import random
import time
from collections.abc import Callable

from server.core.events import CallHandled
from server.telemetry.logs import Log

# Each log line takes time from other calls, so that a storm of refusals must not become a storm of log lines.
MOST_PER_SECOND = 100  # lines for calls that did not end OK


class AccessLog:
    """Logs who called which method and how the call ended, without payloads, metadata or messages."""

    def __init__(
        self,
        log: Log,
        *,
        rate: float,
        choose: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rate` 0..1 is the share of OK calls to log; `choose` gives uniform numbers in [0, 1)."""
        self._log = log
        self._rate = rate
        self._choose = choose
        self._clock = clock
        self._second = -1  # the second of the clock in which `_lines` were counted
        self._lines = 0
        self._unlogged = 0

    def handled(self, event: CallHandled) -> None:
        """Log a call, unless the sample or the limit leaves it out."""
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
