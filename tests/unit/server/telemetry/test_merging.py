"""Several expositions as one: what adds up, what does not, and that a count never goes down."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.openmetrics.exposition import generate_latest

from server.core.events import BatchDone
from server.telemetry.merging import Ledger, Reading, dump, load, merge
from server.telemetry.metrics import Metrics
from server.telemetry.supervision import SupervisionMetrics


@pytest.fixture(autouse=True, scope="module")
def as_a_server_counts() -> None:
    """Without the times at which series began; a setting of the whole process."""
    disable_created_metrics()


def values(reading: Reading) -> dict[str, float]:
    """Every sample by its name and its label values."""
    return {" ".join([s.name, *s.labels.values()]): s.value for family in reading for s in family.samples}


def exposed(reading: Reading) -> bytes:
    """OpenMetrics text."""
    registry = CollectorRegistry()
    registry.register(type("Read", (), {"collect": lambda _: reading})())
    return generate_latest(registry)


def reading(**numbers: float) -> Reading:
    """What a process with such counters exposes."""
    registry = CollectorRegistry()
    for name, number in numbers.items():
        Counter(name, "", registry=registry).inc(number)
    return load(dump(registry.collect()))


def test_the_exposition_of_one_process_is_left_as_it_is():
    metrics = Metrics()
    metrics.batches(model="m", version="1", graph="decoder", padding=lambda rows: 0)(
        BatchDone(rows=3, failed_rows=0, run_seconds=0.1, reason="idle", queue_seconds=(0.2,))
    )
    once = list(metrics.registry.collect())
    assert exposed(merge([load(dump(once))])) == exposed(once)


def test_of_several_exemplars_the_newest_stays():
    def process(trace_id: str) -> Reading:
        registry = CollectorRegistry()
        Histogram("h", "", registry=registry, buckets=(1, 2)).observe(0.5, {"trace_id": trace_id})
        return load(dump(registry.collect()))

    older, newer = process("older"), process("newer")
    for order in ([older, newer], [newer, older]):
        assert b'h_bucket{le="1.0"} 2.0 # {trace_id="newer"} 0.5' in exposed(merge(order))


def test_counts_rows_and_bytes_add_up_sample_by_sample():
    def process(*, rows: float, seconds: float) -> Reading:
        registry = CollectorRegistry()
        Gauge("vae_queue_rows", "", ("graph",), registry=registry).labels("decoder").set(rows)
        Histogram("vae_queue_seconds", "", registry=registry, buckets=(1, 2)).observe(seconds)
        return load(dump(registry.collect()))

    assert values(merge([process(rows=3, seconds=0.5), process(rows=4, seconds=1.5)])) == {
        "vae_queue_rows decoder": 7,
        "vae_queue_seconds_bucket 1.0": 1,
        "vae_queue_seconds_bucket 2.0": 2,
        "vae_queue_seconds_bucket +Inf": 2,
        "vae_queue_seconds_count": 2,
        "vae_queue_seconds_sum": 2.0,
    }


@pytest.mark.parametrize(
    ("name", "merged"),
    [("vae_executor_up", 0), ("vae_model_ready", 0), ("vae_model_info", 1), ("process_start_time_seconds", 0)],
)
def test_gauges_of_a_state_do_not_add_up(name, merged):
    def process(value: float) -> Reading:
        registry = CollectorRegistry()
        Gauge(name, "", registry=registry).set(value)
        return load(dump(registry.collect()))

    assert values(merge([process(1), process(0)])) == {name: merged}


def test_a_series_that_one_process_alone_has_is_there():
    assert values(merge([reading(a=1), reading(a=1, b=5)])) == {"a_total": 2, "b_total": 5}


def test_a_process_that_leaves_leaves_its_counts_but_not_its_gauges():
    registry = CollectorRegistry()
    Gauge("vae_queue_rows", "", registry=registry).set(9)
    ledger = Ledger()
    for process in (1, 2):
        ledger.join(process)
    ledger.read(1, [*reading(a=10), *load(dump(registry.collect()))])
    ledger.read(2, reading(a=1))
    ledger.leave(1)
    ledger.join(3)
    ledger.read(3, reading(a=100))
    assert values(ledger.total()) == {"a_total": 111}
    ledger.leave(3)
    assert values(ledger.total(reading(b=4))) == {"a_total": 111, "b_total": 4}


def test_an_answer_from_a_process_that_has_left_is_not_counted_twice():
    ledger = Ledger()
    ledger.join(1)
    ledger.read(1, reading(a=10))
    ledger.leave(1)
    ledger.read(1, reading(a=12))
    assert values(ledger.total()) == {"a_total": 10}


def test_rounding_never_makes_a_sum_smaller():
    ledger = Ledger()
    for process, seconds in enumerate([0.1, 0.2, 0.3, 1e16]):
        ledger.join(process)
        ledger.read(process, reading(a=seconds))
    shown = values(ledger.total())["a_total"]
    for process in range(4):
        ledger.leave(process)
        assert values(ledger.total())["a_total"] >= shown


def test_a_worker_that_does_not_answer_is_shown_as_it_was_last():
    answers = [
        {1: dump(worker(5).collect()), 2: dump(worker(6).collect())},
        {1: dump(worker(7).collect())},
        {},
    ]
    metrics = SupervisionMetrics(workers=2, ask=lambda: answers.pop(0))
    metrics.joined(1)
    metrics.joined(2)
    shown = [values(metrics._scrape()) for _ in range(3)]
    assert [scrape["calls_total"] for scrape in shown] == [11, 13, 13]
    assert (shown[0]["vae_workers"], shown[0]["vae_worker_restarts_total"]) == (2, 0)


def worker(calls: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("calls", "", registry=registry).inc(calls)
    return registry


def test_a_count_that_is_gone_from_every_process_is_forgotten_and_may_begin_again():
    ledger = Ledger()
    ledger.join(0)
    ledger.read(0, reading(a=5.0, b=1.0))
    ledger.total()
    ledger.read(0, reading(b=2.0))
    assert values(ledger.total()) == {"b_total": 2.0}
    ledger.read(0, reading(a=1.0, b=2.0))
    assert values(ledger.total()) == {"a_total": 1.0, "b_total": 2.0}
