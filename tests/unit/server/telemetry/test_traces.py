"""Spans: the call, each wait in a queue and each run of a graph, in the caller's trace."""

import time

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client.openmetrics.exposition import generate_latest

from server.core.call import CallRecord, GraphTiming
from server.core.events import CallHandled, CallStarted, Rpc
from server.errors import StartFailed
from server.telemetry.metrics import Metrics
from server.telemetry.traces import Traces, exporting

RPC = Rpc("unary", "vaeserve.v1.VaeService", "Sample")
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "user-agent": "test"}
AHEAD = 10**18  # ns: how far the epoch's clock is ahead of the monotonic one in these tests


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exporter) -> Traces:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Traces(provider, epoch=lambda: time.monotonic_ns() + AHEAD)


def end(traces: Traces, trace, code: str = "OK", *timings: GraphTiming) -> None:
    record = CallRecord(model="mnist", version="1", rows=5, timings=list(timings))
    traces.handled(CallHandled(RPC, code, 0.25, record, trace))


def test_a_call_is_a_span_below_its_callers_in_the_callers_trace(traces, exporter):
    trace = traces.begin(RPC, PARENT)
    end(traces, trace)
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("vaeserve.v1.VaeService/Sample", SpanKind.SERVER)
    assert (trace.id, trace.sampled) == (TRACE_ID, True)
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert f"{span.parent.span_id:016x}" == SPAN_ID
    assert dict(span.attributes) == {
        "rpc.system.name": "grpc",
        "rpc.method": "vaeserve.v1.VaeService/Sample",
        "rpc.response.status_code": "OK",
        "vae.model": "mnist",
        "vae.version": "1",
        "vae.rows": 5,
    }


@pytest.mark.parametrize("metadata", [{}, {"traceparent": "rubbish"}, {"traceparent": f"00-{'0' * 32}-{SPAN_ID}-01"}])
def test_without_a_valid_traceparent_a_trace_begins_here(traces, exporter, metadata):
    trace = traces.begin(RPC, metadata)
    end(traces, trace)
    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert f"{span.context.trace_id:032x}" == trace.id != TRACE_ID


def test_each_wait_and_each_run_is_a_span_with_its_own_times(traces, exporter):
    encoder = GraphTiming(0.25, 0.5, 7, "mnist-1-encoder", submitted=100.0, settled=100.75)
    decoder = GraphTiming(0.5, 1.0, 8, "mnist-1-decoder", submitted=101.0, settled=103.0)
    end(traces, traces.begin(RPC, PARENT), "OK", encoder, decoder)
    *inner, call = exporter.get_finished_spans()
    assert {span.parent.span_id for span in inner} == {call.context.span_id}
    seconds = [
        (
            span.name,
            span.attributes["vae.graph"],
            pytest.approx((span.start_time - AHEAD) / 1e9, abs=0.01),
            pytest.approx((span.end_time - AHEAD) / 1e9, abs=0.01),
        )
        for span in inner
    ]
    assert seconds == [
        ("queue", "mnist-1-encoder", 100.0, 100.25),
        ("inference", "mnist-1-encoder", 100.25, 100.75),
        ("queue", "mnist-1-decoder", 101.0, 101.5),
        ("inference", "mnist-1-decoder", 101.5, 103.0),
    ]
    assert inner[1].attributes["vae.batch_rows"] == 7


def test_a_job_that_expired_in_the_queue_has_a_queue_span_and_no_run(traces, exporter):
    end(
        traces,
        traces.begin(RPC, PARENT),
        "DEADLINE_EXCEEDED",
        GraphTiming(0.5, 0.0, 0, "g", submitted=1.0, settled=1.5),
    )
    assert [span.name for span in exporter.get_finished_spans()] == ["queue", "vaeserve.v1.VaeService/Sample"]


@pytest.mark.parametrize(
    ("code", "status"),
    [("OK", StatusCode.UNSET), ("INVALID_ARGUMENT", StatusCode.UNSET), ("INTERNAL", StatusCode.ERROR)],
)
def test_only_the_servers_own_failures_are_errors(traces, exporter, code, status):
    end(traces, traces.begin(RPC, {}), code)
    assert exporter.get_finished_spans()[0].status.status_code is status


def test_a_trace_that_is_not_sampled_keeps_its_id_for_the_log_and_is_no_exemplar(exporter):
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = Traces(provider)
    trace = traces.begin(RPC, {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"})
    end(traces, trace, "OK", GraphTiming(0.25, 0.5, 7))
    assert (trace.id, trace.sampled) == (TRACE_ID, False)
    assert exporter.get_finished_spans() == ()


def test_a_sampled_call_is_the_exemplar_of_its_latency_bucket(traces):
    metrics = Metrics()
    metrics.expect_calls(RPC, codes=["OK"])
    metrics.call(CallStarted(RPC))
    metrics.call(CallHandled(RPC, "OK", 0.004, CallRecord(), traces.begin(RPC, PARENT)))
    (line,) = (line for line in generate_latest(metrics.registry).decode().splitlines() if " # {" in line)
    assert 'le="0.005"' in line
    assert f'# {{trace_id="{TRACE_ID}"}} 0.004' in line


def test_an_unknown_protocol_is_refused_with_what_is_allowed():
    with pytest.raises(StartFailed, match=r"one of http/protobuf, grpc, got 'carrier-pigeon'"):
        exporting({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"})
