"""From the API's response messages to the client's results."""

from vaeserve import png, results, tensors
from vaeserve.errors import Trailers
from vaeserve.tensors import Items
from vaeserve.v1 import vaeserve_pb2 as pb

_STATES = {
    pb.MODEL_STATE_LOADING: "loading",
    pb.MODEL_STATE_READY: "ready",
    pb.MODEL_STATE_FAILED: "failed",
    pb.MODEL_STATE_UNLOADED: "unloaded",
}
_SOURCES = {
    pb.EXECUTION_SOURCE_MEASURED: "measured",
    pb.EXECUTION_SOURCE_CACHED: "cached",
    pb.EXECUTION_SOURCE_GIVEN: "given",
}


def timing(trailers: Trailers) -> results.Timing:
    """The timing that the server reports in its trailers."""
    facts = dict(trailers)
    queue, run, rows = (facts.get(f"vae-{key}") for key in ("queue-seconds", "run-seconds", "batch-rows"))
    return results.Timing(
        queue_seconds=None if queue is None else float(queue),
        run_seconds=None if run is None else float(run),
        batch_rows=None if rows is None else int(rows),
    )


def samples(response: pb.SampleResponse, timing: results.Timing) -> results.Samples:
    return results.Samples(
        items=_items(response),
        latents=tensors.to_floats(response.latents) if response.HasField("latents") else None,
        seed=response.seed,
        model=_ref(response.model),
        timing=timing,
        png=tuple(response.png),
    )


def sample_chunk(response: pb.SampleStreamResponse) -> results.SampleChunk:
    return results.SampleChunk(
        items=_items(response),
        latents=tensors.to_floats(response.latents) if response.HasField("latents") else None,
        first_row=response.first_row,
        seed=response.seed,
        model=_ref(response.model),
        png=tuple(response.png),
    )


def posteriors(response: pb.EncodeResponse, timing: results.Timing) -> results.Posteriors:
    return results.Posteriors(
        mean=tensors.to_floats(response.mean),
        log_var=tensors.to_floats(response.log_var),
        draws=tensors.to_floats(response.draws) if response.HasField("draws") else None,
        kl=tensors.to_floats(response.kl) if response.HasField("kl") else None,
        embedding_space=response.embedding_space,
        seed=response.seed,
        model=_ref(response.model),
        timing=timing,
    )


def reconstructions(response: pb.ReconstructResponse, timing: results.Timing) -> results.Reconstructions:
    return results.Reconstructions(
        items=_items(response),
        reconstruction_nll=tensors.to_floats(response.reconstruction_nll),
        kl=tensors.to_floats(response.kl),
        elbo=tensors.to_floats(response.elbo),
        elbo_percentile=tensors.to_floats(response.elbo_percentile),
        seed=response.seed,
        model=_ref(response.model),
        timing=timing,
        png=tuple(response.png),
    )


def decoded(response: pb.DecodeResponse, timing: results.Timing) -> results.Decoded:
    return results.Decoded(
        items=_items(response),
        seed=response.seed,
        model=_ref(response.model),
        timing=timing,
        png=tuple(response.png),
    )


def scores(response: pb.ScoreResponse, timing: results.Timing) -> results.Scores:
    return results.Scores(
        log_evidence=tensors.to_floats(response.log_evidence),
        elbo=tensors.to_floats(response.elbo),
        elbo_percentile=tensors.to_floats(response.elbo_percentile),
        effective_samples=tensors.to_floats(response.effective_samples),
        seed=response.seed,
        model=_ref(response.model),
        timing=timing,
    )


def summaries(response: pb.ListModelsResponse, _: results.Timing) -> tuple[results.ModelSummary, ...]:
    return tuple(map(_summary, response.models))


def info(response: pb.GetModelResponse, _: results.Timing) -> results.ModelInfo:
    return results.ModelInfo(
        summary=_summary(response.summary),
        item_shape=tuple(response.item_shape),
        value_min=response.value_min if response.HasField("value_min") else None,
        value_max=response.value_max if response.HasField("value_max") else None,
        latent_size=response.latent_size,
        likelihood=response.likelihood,
        sigma=response.sigma if response.HasField("sigma") else None,
        scale=tuple(response.scale),
        learned_prior=response.learned_prior,
        embedding_space=response.embedding_space,
        sampling_version=response.sampling_version,
        metrics=dict(response.metrics),
        graphs={name: _execution(graph) for name, graph in response.graphs.items()},
        max_request_rows=response.max_request_rows,
    )


def _items(
    response: pb.SampleResponse | pb.SampleStreamResponse | pb.ReconstructResponse | pb.DecodeResponse,
) -> Items:
    return png.to_items(tuple(response.png)) if response.png else tensors.to_array(response.items)


def _summary(summary: pb.ModelSummary) -> results.ModelSummary:
    return results.ModelSummary(
        model=_ref(summary.model),
        state=_STATES.get(summary.state, "unknown"),  # a newer server may have states we don't know
        reason=summary.reason,
        is_default=summary.is_default,
    )


def _ref(ref: pb.ModelRef) -> results.ModelRef:
    return results.ModelRef(name=ref.name, version=ref.version, digest=ref.digest)


def _execution(graph: pb.GraphExecution) -> results.GraphExecution:
    return results.GraphExecution(
        provider=graph.provider,
        max_batch_rows=graph.max_batch_rows,
        executors=graph.executors,
        helpers=graph.helpers,
        threads=graph.threads,
        source=_SOURCES.get(graph.source, "unknown"),
        rates=tuple(results.GraphRate(r.rows, r.executors, r.threads, r.rows_per_second) for r in graph.rates),
    )
