"""The access log: a sample of OK calls, every other call up to a limit, and no secrets."""

import structlog
from structlog.testing import CapturingLogger

from server.core.call import CallRecord, GraphTiming
from server.core.events import CallHandled, Rpc
from server.telemetry.access import MOST_PER_SECOND, AccessLog

RPC = Rpc("unary", "p.S", "M")


class Written:
    """An access log, and the lines it wrote; the test turns the clock and knows the random numbers."""

    def __init__(self, rate: float, *, numbers=()) -> None:
        self._captured = CapturingLogger()
        self.now = 0.0
        numbers = iter(numbers)
        self.log = AccessLog(
            structlog.wrap_logger(self._captured, processors=[lambda _, level, facts: ((level, facts), {})]),
            rate=rate,
            choose=lambda: next(numbers),
            clock=lambda: self.now,
        )

    @property
    def lines(self) -> list[tuple[str, dict]]:
        return [call.args for call in self._captured.calls]


class FakeTrace:
    id = "ab" * 16
    sampled = True


def handled(code: str = "OK", record: CallRecord | None = None, trace: FakeTrace | None = None) -> CallHandled:
    return CallHandled(RPC, code, 0.25, record or CallRecord(), trace)


def test_calls_that_end_ok_are_logged_at_the_rate_asked_for():
    written = Written(0.5, numbers=(0.4, 0.5, 0.9, 0.1))
    for _ in range(4):
        written.log.handled(handled())
    assert [facts["code"] for _, facts in written.lines] == ["OK", "OK"]


def test_at_rate_0_no_number_is_drawn_and_errors_are_still_logged():
    written = Written(0.0)
    written.log.handled(handled())
    written.log.handled(handled("INTERNAL"))
    assert [(level, facts["code"]) for level, facts in written.lines] == [("warning", "INTERNAL")]


def test_a_line_says_what_was_asked_for_what_it_took_and_which_trace_it_belongs_to():
    written = Written(1.0, numbers=(0.0,))
    record = CallRecord("alice", "mnist", "3", 5, [GraphTiming(0.25, 0.5, 7), GraphTiming(0.25, 0.5, 3)])
    written.log.handled(handled(record=record, trace=FakeTrace()))
    assert written.lines == [
        (
            "info",
            {
                "event": "call",
                "method": "p.S/M",
                "code": "OK",
                "seconds": 0.25,
                "tenant": "alice",
                "model": "mnist",
                "version": "3",
                "rows": 5,
                "queue_seconds": 0.5,
                "run_seconds": 1.0,
                "batch_rows": 7,
                "trace_id": "ab" * 16,
            },
        )
    ]


def test_unknown_facts_are_left_out():
    written = Written(0.0)
    written.log.handled(handled("INVALID_ARGUMENT"))
    assert written.lines == [
        ("warning", {"event": "call", "method": "p.S/M", "code": "INVALID_ARGUMENT", "seconds": 0.25})
    ]


def test_a_storm_of_errors_is_cut_and_the_next_line_says_by_how_much():
    written = Written(0.0)
    for _ in range(MOST_PER_SECOND + 7):
        written.log.handled(handled("RESOURCE_EXHAUSTED"))
    assert len(written.lines) == MOST_PER_SECOND
    written.now = 1.0
    written.log.handled(handled("RESOURCE_EXHAUSTED"))
    written.log.handled(handled("RESOURCE_EXHAUSTED"))
    assert [facts.get("unlogged") for _, facts in written.lines[-2:]] == [7, None]
