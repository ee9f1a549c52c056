"""OpenTelemetry traces: a span for every call, and inside it one for each wait in a queue and each run of a graph.

The standard OTEL_* variables configure them. A caller's `traceparent` (W3C Trace Context) makes the span part of the
caller's trace.
"""

import time
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.core.call import GraphTiming
from server.core.events import CallHandled, Rpc
from server.errors import StartFailed

NAME = "vaeserve"  # the service's name, unless OTEL_SERVICE_NAME gives another
# The codes that OpenTelemetry's conventions for gRPC servers count as errors of the server.
FAILED = ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE")


def exporting(environment: Mapping[str, str]) -> "Traces":
    """Traces that are sent by OTLP, as the environment configures it. Raises StartFailed."""
    exporter = _exporter(environment)
    resource = Resource.create({SERVICE_NAME: NAME}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Traces(provider)


class Traces:
    """Begins and ends the spans of calls."""

    def __init__(self, provider: TracerProvider, *, epoch: Callable[[], int] = time.time_ns) -> None:
        """`epoch` gives the time in ns since 1970, for the times of spans."""
        self._provider = provider
        self._tracer = provider.get_tracer(NAME)
        self._propagator = TraceContextTextMapPropagator()
        self._epoch = epoch

    def begin(self, rpc: Rpc, metadata: Mapping[str, str]) -> "CallTrace":
        """Begin a call's span, as a child of its caller's span if the metadata name one."""
        method = f"{rpc.service}/{rpc.method}"
        span = self._tracer.start_span(
            method,
            context=self._propagator.extract(metadata, Context()),
            kind=SpanKind.SERVER,
            attributes={"rpc.system.name": "grpc", "rpc.method": method},
        )
        return CallTrace(span)

    def handled(self, event: CallHandled) -> None:
        """End the span of a call that `begin` began."""
        trace = event.trace
        assert isinstance(trace, CallTrace)
        if trace.sampled:
            ahead = self._epoch() - time.monotonic_ns()
            for timing in event.record.timings:
                if timing.graph:  # empty for a sum over several graphs
                    self._add(trace, timing, ahead)
        trace.end(event)

    def close(self) -> None:
        """Send the remaining spans. May take as long as the exporter's timeout."""
        self._provider.shutdown()

    def _add(self, trace: "CallTrace", timing: GraphTiming, ahead: int) -> None:
        inside = set_span_in_context(trace.span)
        submitted = round(timing.submitted * 1e9) + ahead
        begun = submitted + round(timing.queue_seconds * 1e9)
        self._tracer.start_span(
            "queue", context=inside, start_time=submitted, attributes={"vae.graph": timing.graph}
        ).end(begun)
        if timing.batch_rows:  # 0 if the deadline passed in the queue
            run = self._tracer.start_span("inference", context=inside, start_time=begun)
            run.set_attributes(
                {
                    "vae.graph": timing.graph,
                    "vae.batch_rows": timing.batch_rows,
                    "vae.run_seconds": timing.run_seconds,
                }
            )
            run.end(round(timing.settled * 1e9) + ahead)


class CallTrace:
    """The span of one call: an implementation of core.call.Trace."""

    __slots__ = ("id", "sampled", "span")

    def __init__(self, span: Span) -> None:
        context = span.get_span_context()
        self.span = span
        self.id = f"{context.trace_id:032x}" if context.is_valid else ""
        self.sampled = span.is_recording()

    def end(self, event: CallHandled) -> None:
        record = event.record
        self.span.set_attribute("rpc.response.status_code", event.code)
        if record.model:
            self.span.set_attributes(
                {"vae.model": record.model, "vae.version": record.version, "vae.rows": record.rows}
            )
        if event.code in FAILED:
            self.span.set_status(StatusCode.ERROR)
        self.span.end()


def _exporter(environment: Mapping[str, str]) -> SpanExporter:
    """The OTLP exporter for the environment's protocol. It reads its other settings from the environment itself."""
    general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", general)
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp

        return OverHttp()
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc

        return OverGrpc()
    raise StartFailed(f"OTEL_EXPORTER_OTLP_PROTOCOL must be one of http/protobuf, grpc, got {protocol!r}")
