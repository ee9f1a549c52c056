"""What becomes of the account of every call: metrics, the access log, and its trace."""

from typing import TYPE_CHECKING

from server.core.events import CallEvent, CallHandled
from server.telemetry.access import AccessLog
from server.telemetry.metrics import Metrics

if TYPE_CHECKING:  # an extra
    from server.telemetry.traces import Traces


class Calls:
    """The observer of the boundary."""

    def __init__(self, metrics: Metrics, access_log: AccessLog, traces: "Traces | None") -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._traces = traces
        self.begin_trace = traces.begin if traces else None

    def observe(self, event: CallEvent) -> None:
        """A call began or ended."""
        self._metrics.call(event)
        if isinstance(event, CallHandled):
            self._access_log.handled(event)
            if self._traces:
                self._traces.handled(event)

    def close(self) -> None:
        """Send the traces that were not yet sent; blocks."""
        if self._traces:
            self._traces.close()
