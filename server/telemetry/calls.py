"""Passes what happened to every call on to metrics, the access log and traces."""

from typing import TYPE_CHECKING

from server.core.events import CallEvent, CallHandled
from server.telemetry.access import AccessLog
from server.telemetry.metrics import Metrics

if TYPE_CHECKING:  # an extra
    from server.telemetry.traces import Traces


class Calls:
    """The boundary's observer of calls."""

    def __init__(self, metrics: Metrics, access_log: AccessLog, traces: "Traces | None") -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._traces = traces
        self.begin_trace = traces.begin if traces else None

    def observe(self, event: CallEvent) -> None:
        """Record that a call began or ended."""
        self._metrics.call(event)
        if isinstance(event, CallHandled):
            self._access_log.handled(event)
            if self._traces:
                self._traces.handled(event)

    def close(self) -> None:
        """Send the remaining traces. Blocks."""
        if self._traces:
            self._traces.close()
