"""vaeserve.v1.VaeService: each RPC as request -> checked values -> Vae -> response."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from google.protobuf.message import Message

from server.core.arrays import Floats
from server.core.aside import Aside
from server.core.caller import Caller
from server.core.likelihood import Decoded
from server.core.model import Entry, Execution, Model, Models, Source, State
from server.core.spec import Spec
from server.core.ticket import Steps
from server.edge import wire
from server.edge.methods import Method, Unary
from server.errors import EmbeddingSpaceMismatch
from vaeserve.v1 import vaeserve_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["VaeService"].full_name
Seeded: TypeAlias = pb.SampleRequest | pb.EncodeRequest | pb.ReconstructRequest | pb.DecodeRequest
_STATES: dict[State, pb.ModelState] = {
    "loading": pb.MODEL_STATE_LOADING,
    "ready": pb.MODEL_STATE_READY,
    "failed": pb.MODEL_STATE_FAILED,
}
_SOURCES: dict[Source, pb.ExecutionSource] = {
    "measured": pb.EXECUTION_SOURCE_MEASURED,
    "cached": pb.EXECUTION_SOURCE_CACHED,
    "given": pb.EXECUTION_SOURCE_GIVEN,
}


class VaeServicer:
    """The handlers of VaeService over a catalog of models."""

    def __init__(self, models: Models, *, aside: Aside, max_rows: int, pick_seed: Callable[[], int]) -> None:
        """`aside` draws and compresses items; `max_rows` bounds one request; `pick_seed` gives a seed 0..2^63 - 1 to
        requests that bring none.
        """
        self._models = models
        self._aside = aside
        self._max_rows = max_rows
        self._pick_seed = pick_seed

    def methods(self) -> tuple[Method, ...]:
        return (
            Unary(f"/{SERVICE}/Sample", pb.SampleRequest, self.sample),
            Unary(f"/{SERVICE}/Encode", pb.EncodeRequest, self.encode),
            Unary(f"/{SERVICE}/Reconstruct", pb.ReconstructRequest, self.reconstruct),
            Unary(f"/{SERVICE}/Decode", pb.DecodeRequest, self.decode),
            Unary(f"/{SERVICE}/ListModels", pb.ListModelsRequest, self.list_models),
            Unary(f"/{SERVICE}/GetModel", pb.GetModelRequest, self.get_model),
        )

    def sample(self, request: pb.SampleRequest, caller: Caller) -> Steps[Message]:
        model = self._find(request.model, caller)
        rows = wire.integer("count", request.count, least=1, most=self._max_rows)
        first_row = wire.rows_at(request.first_row, rows=rows)
        temperature = wire.temperature(request)
        output = wire.choice("output", request.output, pb.OutputMode, default=pb.OUTPUT_MODE_MEAN)
        chosen = wire.encoding(request.encoding, model.spec)
        seed = self._seed(request, draws=True)
        caller.allowance.charge(rows, field="count")
        sampled = yield from model.vae.sample(
            rows=rows, seed=seed, first_row=first_row, temperature=temperature, caller=caller
        )
        response = pb.SampleResponse(seed=seed, model=_ref(model))
        values = partial(_output, sampled.decoded, model.spec, output=output, seed=seed, first_row=first_row)
        yield from self._put_items(response, values, model.spec, output=output, chosen=chosen)
        if request.want_latents:
            wire.put(response.latents, sampled.latents())
        return response

    def encode(self, request: pb.EncodeRequest, caller: Caller) -> Steps[Message]:
        model = self._find(request.model, caller)
        space = model.spec.embedding_space
        if request.expect_embedding_space not in ("", space):
            raise EmbeddingSpaceMismatch(
                f"expect_embedding_space is {request.expect_embedding_space!r}, the model's is {space!r}; "
                "vectors of the two cannot be compared"
            )
        items = wire.items(request.items, model.spec, max_rows=self._max_rows)
        draws = wire.integer("draws", request.draws, least=0, most=wire.MAX_DRAWS)
        first_row = wire.rows_at(request.first_row, rows=len(items))
        seed = self._seed(request, draws=draws > 0)
        caller.allowance.charge(len(items), field="items.shape")
        posterior = yield from model.vae.encode(items, caller=caller)
        response = pb.EncodeResponse(embedding_space=space, seed=seed, model=_ref(model))
        wire.put(response.mean, posterior.mean)
        wire.put(response.log_var, posterior.log_var)
        if draws:
            drawn = model.vae.draws(posterior, draws=draws, seed=seed, first_row=first_row)
            wire.put(response.draws, drawn)
        if request.want_kl:
            kl = yield from model.vae.kl(posterior, seed=seed, first_row=first_row, caller=caller)
            wire.put(response.kl, kl)
        return response

    def reconstruct(self, request: pb.ReconstructRequest, caller: Caller) -> Steps[Message]:
        model = self._find(request.model, caller)
        items = wire.items(request.items, model.spec, max_rows=self._max_rows)
        first_row = wire.rows_at(request.first_row, rows=len(items))
        latent = wire.choice("latent", request.latent, pb.LatentMode, default=pb.LATENT_MODE_MEAN)
        chosen = wire.encoding(request.encoding, model.spec)
        seed = self._seed(request, draws=latent == pb.LATENT_MODE_DRAW)
        caller.allowance.charge(len(items), field="items.shape")
        result = yield from model.vae.reconstruct(
            items,
            latent="draw" if latent == pb.LATENT_MODE_DRAW else "mean",
            seed=seed,
            first_row=first_row,
            caller=caller,
        )
        response = pb.ReconstructResponse(seed=seed, model=_ref(model))
        wire.put(response.reconstruction_nll, result.reconstruction_nll)
        wire.put(response.kl, result.kl)
        wire.put(response.elbo, result.elbo)
        wire.put(response.elbo_percentile, result.elbo_percentile)
        mean = pb.OUTPUT_MODE_MEAN
        yield from self._put_items(response, lambda: result.decoded.mean, model.spec, output=mean, chosen=chosen)
        return response

    def decode(self, request: pb.DecodeRequest, caller: Caller) -> Steps[Message]:
        model = self._find(request.model, caller)
        latents = wire.latents(request.latents, model.spec, max_rows=self._max_rows)
        first_row = wire.rows_at(request.first_row, rows=len(latents))
        output = wire.choice("output", request.output, pb.OutputMode, default=pb.OUTPUT_MODE_MEAN)
        chosen = wire.encoding(request.encoding, model.spec)
        seed = self._seed(request, draws=output == pb.OUTPUT_MODE_DRAW)
        caller.allowance.charge(len(latents), field="latents.shape")
        decoded = yield from model.vae.decode(latents, caller=caller)
        response = pb.DecodeResponse(seed=seed, model=_ref(model))
        values = partial(_output, decoded, model.spec, output=output, seed=seed, first_row=first_row)
        yield from self._put_items(response, values, model.spec, output=output, chosen=chosen)
        return response

    def list_models(self, request: pb.ListModelsRequest, caller: Caller) -> Steps[Message]:  # noqa: ARG002
        yield from ()
        return pb.ListModelsResponse(models=[_summary(entry) for entry in self._models.entries()])

    def get_model(self, request: pb.GetModelRequest, caller: Caller) -> Steps[Message]:
        yield from ()
        model = self._find(request.model, caller)
        (entry,) = (e for e in self._models.entries() if e.model is model)
        spec = model.spec
        response = pb.GetModelResponse(
            summary=_summary(entry),
            item_shape=spec.item_shape,
            latent_size=spec.latent_size,
            likelihood=spec.likelihood.name,
            sigma=spec.likelihood.sigma,
            scale=spec.likelihood.scale,
            learned_prior=spec.learned_prior,
            embedding_space=spec.embedding_space,
            sampling_version=spec.sampling_version,
            metrics=spec.metrics,
            max_request_rows=self._max_rows,
        )
        if spec.value_range is not None:
            response.value_min, response.value_max = spec.value_range
        for name, execution in model.graphs.items():
            response.graphs[name].CopyFrom(_execution(execution))
        return response

    def _put_items(
        self, response: Message, values: Callable[[], Floats], spec: Spec, *, output: int, chosen: int
    ) -> Steps[None]:
        """Set a response's items; aside, unless they need only be copied."""

        def put() -> None:
            wire.put_items(response, values(), spec, chosen=chosen)

        if (output, chosen) == (pb.OUTPUT_MODE_MEAN, pb.ENCODING_FLOAT32):
            put()
        else:
            yield self._aside.run(put)

    def _find(self, selector: pb.ModelSelector, caller: Caller) -> Model:
        model = self._models.find(selector.name, selector.version)
        caller.allowance.check_model(model.name)
        return model

    def _seed(self, request: Seeded, *, draws: bool) -> int:
        """The request's seed; without one a new seed for draws, and 0 where nothing but a score could depend on it."""
        if request.HasField("seed"):
            return wire.integer("seed", request.seed, least=0, most=wire.MAX_SEED)
        return self._pick_seed() if draws else 0


def _output(decoded: Decoded, spec: Spec, *, output: int, seed: int, first_row: int) -> Floats:
    if output == pb.OUTPUT_MODE_MEAN:
        return decoded.mean
    return spec.likelihood.draw(decoded.mean, seed=seed, first_row=first_row)


def _ref(model: Model) -> pb.ModelRef:
    return pb.ModelRef(name=model.name, version=model.version, digest=model.spec.digest)


def _execution(execution: Execution) -> pb.GraphExecution:
    return pb.GraphExecution(
        provider=execution.provider,
        max_batch_rows=execution.max_batch_rows,
        executors=execution.executors,
        helpers=execution.helpers,
        threads=execution.threads,
        source=_SOURCES[execution.source],
        rates=[
            pb.GraphRate(
                rows=rate.rows, executors=rate.executors, threads=rate.threads, rows_per_second=rate.rows_per_second
            )
            for rate in execution.curve
        ],
    )


def _summary(entry: Entry) -> pb.ModelSummary:
    ref = _ref(entry.model) if entry.model else pb.ModelRef(name=entry.name, version=entry.version)
    return pb.ModelSummary(model=ref, state=_STATES[entry.state], reason=entry.reason, is_default=entry.is_default)
