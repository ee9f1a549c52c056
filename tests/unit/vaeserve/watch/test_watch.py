"""The figures that `vaeserve top` makes from two readings of a server's metrics."""

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from server.telemetry.metrics import Metrics
from vaeserve.watch import figures, watching
from vaeserve.watch.exposition import Exposition
from vaeserve.watch.figures import Figures, Reading
from vaeserve.watch.watching import MetricsAway

CALL = 'grpc_method="Sample",grpc_service="vaeserve.v1.VaeService",grpc_type="unary"'
GRAPH = 'graph="decoder",model="toy",version="3"'


def exposed(
    *, calls: int = 0, failed: int = 0, rows: int = 0, batches: int = 0, refused: int = 0, up: int = 1
) -> Exposition:
    """A server's metrics; nine calls of ten took 1 to 2 ms, the others 0.1 to 0.25 s."""
    fast = calls * 9 // 10
    return Exposition(
        f"""# HELP grpc_server_started_total Calls begun.
# TYPE grpc_server_started_total counter
grpc_server_started_total{{{CALL}}} {calls + failed + 0.0}
grpc_server_handled_total{{grpc_code="OK",{CALL}}} {calls}
grpc_server_handled_total{{grpc_code="RESOURCE_EXHAUSTED",{CALL}}} {failed}
grpc_server_handling_seconds_bucket{{{CALL},le="0.001"}} 0.0
grpc_server_handling_seconds_bucket{{{CALL},le="0.002"}} {fast}
grpc_server_handling_seconds_bucket{{{CALL},le="0.1"}} {fast}
grpc_server_handling_seconds_bucket{{{CALL},le="0.25"}} {calls}
grpc_server_handling_seconds_bucket{{{CALL},le="+Inf"}} {calls}
grpc_server_handling_seconds_count{{{CALL}}} {calls}
vae_rows_total{{{GRAPH},outcome="ok"}} {rows}
vae_rows_total{{{GRAPH},outcome="failed"}} 0.0
vae_batch_rows_count{{{GRAPH}}} {batches}
vae_batch_rows_sum{{{GRAPH}}} {rows}
vae_queue_rows{{{GRAPH}}} 17.0
vae_inflight_rows{{{GRAPH}}} 8.0
vae_executor_up{{{GRAPH}}} {up}
vae_rejected_total{{{GRAPH},reason="rows"}} {refused}
vae_model_ready{{model="toy",version="3"}} 1.0
vae_model_ready{{model="toy",version="4"}} 0.0
process_start_time_seconds 1e3
process_resident_memory_bytes 1.048576e+07
process_cpu_seconds_total 5
"""
    )


def between(before: Exposition | None, after: Exposition, *, seconds: float = 2.0) -> Figures:
    first = None if before is None else Reading(before, 10.0)
    return figures.between(first, Reading(after, 10.0 + seconds), wall_clock=1060.0)


def test_rates_and_quantiles_are_of_the_time_between_two_readings():
    seen = between(exposed(calls=500, rows=100, batches=50), exposed(calls=700, failed=4, rows=300, batches=75))
    (sample,) = seen.methods
    assert (sample.service, sample.method) == ("vaeserve.v1.VaeService", "Sample")
    assert sample.calls_per_second == 102.0
    assert sample.failed_per_second == {"RESOURCE_EXHAUSTED": 2.0}
    assert sample.p50_seconds == pytest.approx(0.001 + 0.001 * 100 / 180)
    assert sample.p99_seconds == pytest.approx(0.1 + 0.15 * 18 / 20)
    (decoder,) = seen.graphs
    assert (decoder.model, decoder.version, decoder.graph, decoder.up) == ("toy", "3", "decoder", True)
    assert (decoder.rows_per_second, decoder.batch_rows) == (100.0, 8.0)
    assert (decoder.queue_rows, decoder.inflight_rows, decoder.refused_per_second) == (17, 8, 0.0)
    assert (seen.up_seconds, seen.memory_bytes, seen.cores_used, seen.not_ready) == (60.0, 10 * 2**20, 0.0, ("toy/4",))


def test_one_reading_has_no_rates_and_says_so():
    seen = between(None, exposed(calls=10, rows=20, batches=5))
    assert seen.methods[0].calls_per_second is None
    assert seen.methods[0].failed_per_second is None
    assert seen.graphs[0].rows_per_second is None
    assert seen.graphs[0].queue_rows == 17


def test_a_server_started_anew_counts_from_zero():
    seen = between(exposed(calls=1000, rows=5000), exposed(calls=30, rows=80))
    assert (seen.methods[0].calls_per_second, seen.graphs[0].rows_per_second) == (15.0, 40.0)


def test_beyond_the_last_bound_a_quantile_is_that_bound():
    text = 'h_bucket{le="0.5"} 1\nh_bucket{le="+Inf"} 10\nh_count 10\n'
    before = Reading(Exposition('h_bucket{le="0.5"} 0\nh_bucket{le="+Inf"} 0\nh_count 0\n'), 0.0)
    assert figures._Change(before, Reading(Exposition(text), 1.0)).quantile(0.99, "h") == 0.5


def test_what_the_server_writes_is_read_back():
    """The names that figures.py asks for are those of the server's own registry."""

    class Queue:
        alive, queued_rows, queued_bytes, running_rows = True, 5, 80, 3

    metrics = Metrics()
    metrics.watch_queue(Queue(), model='odd "name"\\', version="1", graph="decoder")
    seen = between(None, Exposition(generate_latest(metrics.registry).decode()))
    (graph,) = seen.graphs
    assert (graph.model, graph.up, graph.queue_rows, graph.inflight_rows) == ('odd "name"\\', True, 5, 3)
    assert seen.memory_bytes > 2**20


def test_every_metric_that_is_asked_for_exists():
    named = {family.name for family in Metrics().registry.collect()}
    source = "".join(Path(module.__file__).read_text() for module in (figures, watching))
    asked = {name.removesuffix("_total") for name in re.findall(r'"((?:vae|grpc_server|process)_\w+)"', source)}
    assert len(asked) > 10
    assert asked - named == set()


def test_a_line_that_is_no_sample_is_refused():
    with pytest.raises(ValueError, match="line 2 is no sample of a metric: '<html>'"):
        Exposition("x 1\n<html>")


class Away:
    """A clock and a server that is away for two looks."""

    def __init__(self) -> None:
        self.now, self.looks = 0.0, 0
        self.slept: list[float] = []

    def fetch(self) -> Exposition:
        self.looks += 1
        self.now += 0.5
        if self.looks in (2, 3):
            raise MetricsAway("Connection refused")
        return exposed(calls=100 * self.looks)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_watching_goes_on_while_the_server_is_away_and_when_it_is_back():
    away = Away()
    looks = watching.watch(
        away.fetch, interval=2.0, clock=lambda: away.now, wall_clock=lambda: 1060.0, sleep=away.sleep
    )
    first, gone, still_gone, back, again = itertools.islice(looks, 5)
    assert first.figures is not None
    assert (gone.figures, gone.problem, gone.away_seconds) == (None, "Connection refused", 0.5)
    assert still_gone.away_seconds == 2.5
    assert back.figures is not None
    assert back.figures.methods[0].calls_per_second is None, "no rate over the time away"
    assert again.figures is not None
    assert again.figures.methods[0].calls_per_second == 50.0
    assert away.slept == [1.5] * 4, "a look every interval, however long it takes"


@contextmanager
def page(body: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/metrics"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"", 404, "HTTP 404"),
        (b"<html>", 200, "no Prometheus exposition: line 1"),
        (b"\xff", 200, "no Prometheus exposition"),
        (b"up 1\n", 200, "no vaeserve server"),
    ],
)
def test_what_is_no_server_of_ours_is_said(body: bytes, status: int, problem: str):
    with page(body, status) as url, pytest.raises(MetricsAway, match=problem):
        watching.fetch(url)


def test_an_address_without_a_server_is_reported_in_words():
    with pytest.raises(MetricsAway, match="Connection refused"):
        watching.fetch("http://127.0.0.1:1/metrics")
