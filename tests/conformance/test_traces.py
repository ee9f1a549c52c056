"""A call is part of its caller's trace: in the spans that are sent, in the log, and among the exemplars."""

import json
from pathlib import Path

import grpc
import pytest
from support.messages import items
from support.otlp import receiver
from support.server import server

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = (("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01"),)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def test_one_call_is_one_trace_from_the_caller_to_the_graphs(models: Path, transport: str):
    with receiver() as received:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "OTEL_SERVICE_NAME": "under-test"}
        with server(
            models, "--transport", transport, "--default-model", "tiny", "--traces", "on", "--access-log", "1", env=env
        ) as process:
            with grpc.insecure_channel(process.target) as channel:
                stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
                stub.Reconstruct(pb.ReconstructRequest(items=items(3)), metadata=TRACEPARENT)
            exemplars = [line for line in process.exposition(accept=OPENMETRICS).splitlines() if " # {" in line]
            assert process.terminate() == 0  # what was not sent yet is sent before it ends
        (line,) = (json.loads(line) for line in process.lines if '"event": "call"' in line)
    call, *inner = sorted(received.spans, key=lambda span: span.name != "vaeserve.v1.VaeService/Reconstruct")
    assert {span.trace_id.hex() for span in received.spans} == {TRACE_ID}
    assert call.parent_span_id.hex() == SPAN_ID
    assert {span.parent_span_id for span in inner} == {call.span_id}
    assert sorted(span.name for span in inner) == ["inference", "inference", "queue", "queue"]
    times = [(span.start_time_unix_nano, span.end_time_unix_nano) for span in inner]
    assert all(call.start_time_unix_nano <= start <= end <= call.end_time_unix_nano for start, end in times)
    assert received.services == {"under-test"}
    assert (line["trace_id"], line["rows"], line["model"], line["code"]) == (TRACE_ID, 3, "tiny", "OK")
    assert any(f'trace_id="{TRACE_ID}"' in line and 'grpc_method="Reconstruct"' in line for line in exemplars)


def test_by_default_nothing_is_traced_and_only_what_went_wrong_is_logged(models: Path, transport: str):
    with receiver() as received:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint}
        with server(models, "--transport", transport, "--default-model", "tiny", env=env) as process:
            with grpc.insecure_channel(process.target) as channel:
                stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
                stub.Sample(pb.SampleRequest(count=1), metadata=(*TRACEPARENT, ("authorization", "a secret")))
                with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
                    stub.Sample(pb.SampleRequest(), metadata=(*TRACEPARENT, ("authorization", "a secret")))
            assert " # {" not in process.exposition(accept=OPENMETRICS)
            assert process.terminate() == 0
        lines = [line for line in process.lines if '"event": "call"' in line]
    assert [json.loads(line)["code"] for line in lines] == ["INVALID_ARGUMENT"]
    assert not any("secret" in line for line in process.lines)
    assert received.spans == []
