"""vaeserve.v1.VaeService: each RPC checks its request, calls the Vae and fills the response."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeAlias

from google.protobuf.message import Message

from server.core.batching.offload import Offload
from server.core.call import Call, CallRecord
from server.core.events import RowsScored
from server.core.model import Entry, Execution, Models, Source, State
from server.core.spec import LatentMode
from server.core.vae.score import score
from server.edge import sampling, wire
from server.edge.admission import AdmittedModel
from server.edge.methods import Messages, Method, ServerStream, Unary
from server.edge.sampling import Chunks, ref
from server.errors import EmbeddingSpaceMismatch
from vaeserve.v1 import vaeserve_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["VaeService"].full_name
Seeded: TypeAlias = sampling.Request | pb.EncodeRequest | pb.ReconstructRequest | pb.DecodeRequest | pb.ScoreRequest
_STATES: dict[State, pb.ModelState] = {
    "loading": pb.MODEL_STATE_LOADING,
    "ready": pb.MODEL_STATE_READY,
    "failed": pb.MODEL_STATE_FAILED,
    "unloaded": pb.MODEL_STATE_UNLOADED,
}
_SOURCES: dict[Source, pb.ExecutionSource] = {
    "measured": pb.EXECUTION_SOURCE_MEASURED,
    "cached": pb.EXECUTION_SOURCE_CACHED,
    "given": pb.EXECUTION_SOURCE_GIVEN,
}


class VaeServicer:
    """The handlers of VaeService over a catalog of models."""

    def __init__(
        self,
        models: Models,
        *,
        offload: Offload,
        max_rows: int,
        pick_seed: Callable[[], int],
        observe: Callable[[RowsScored], None],
    ) -> None:
        """`offload` draws and compresses items. `max_rows` limits one request. `pick_seed` gives a seed 0..2^63 - 1 to
        requests without one. `observe` gets the scores of reconstructed rows.
        """
        self._models = models
        self._offload = offload
        self._max_rows = max_rows
        self._pick_seed = pick_seed
        self._observe = observe

    def methods(self) -> tuple[Method, ...]:
        return (
            Unary(f"/{SERVICE}/Sample", pb.SampleRequest, self.sample),
            ServerStream(f"/{SERVICE}/SampleStream", pb.SampleStreamRequest, self.sample_stream),
            Unary(f"/{SERVICE}/Encode", pb.EncodeRequest, self.encode),
            Unary(f"/{SERVICE}/Reconstruct", pb.ReconstructRequest, self.reconstruct),
            Unary(f"/{SERVICE}/Decode", pb.DecodeRequest, self.decode),
            Unary(f"/{SERVICE}/Score", pb.ScoreRequest, self.score),
            Unary(f"/{SERVICE}/ListModels", pb.ListModelsRequest, self.list_models),
            Unary(f"/{SERVICE}/GetModel", pb.GetModelRequest, self.get_model),
        )

    async def sample(self, request: pb.SampleRequest, call: Call, record: CallRecord) -> Message:
        with self._admitted(request.model, call, record) as model:
            wanted = sampling.check(request, model.model, most_rows=self._max_rows, seed=self._drawn_seed)
            model.note_rows(wanted.rows)
            vae = model.charge(wanted.rows, field="count")
            response = pb.SampleResponse()
            await wanted.fill(
                response, vae, first_row=wanted.first_row, rows=wanted.rows, call=call, offload=self._offload
            )
            return response

    def sample_stream(self, request: pb.SampleStreamRequest, call: Call, record: CallRecord) -> Messages:
        with ExitStack() as lease:
            model = lease.enter_context(self._admitted(request.model, call, record))
            wanted = sampling.check(request, model.model, most_rows=wire.MAX_ROW, seed=self._drawn_seed)
            model.note_rows(wanted.rows)
            at_once = call.allowance.rows_at_once
            rows = sampling.chunk_rows(request.chunk_rows, model.spec, max_rows=self._max_rows, rows_at_once=at_once)
            return Chunks(
                wanted,
                model,
                call.in_bulk(),
                record,
                chunk_rows=rows,
                offload=self._offload,
                end_lease=lease.pop_all().close,
            )

    async def encode(self, request: pb.EncodeRequest, call: Call, record: CallRecord) -> Message:
        with self._admitted(request.model, call, record) as model:
            space = model.spec.embedding_space
            if request.expect_embedding_space not in ("", space):
                raise EmbeddingSpaceMismatch(
                    f"expect_embedding_space is {request.expect_embedding_space!r}, the model's is {space!r}; "
                    "vectors of the two cannot be compared"
                )
            items = wire.items(request.items, model.spec, max_rows=self._max_rows)
            model.note_rows(len(items))
            draws = wire.integer("draws", request.draws, least=0, most=wire.MAX_DRAWS)
            first_row = wire.rows_at(request.first_row, rows=len(items))
            seed = self._seed(request, draws=draws > 0)
            vae = model.charge(len(items), field="items.shape")
            posterior = await vae.encode(items, call=call)
            response = pb.EncodeResponse(embedding_space=space, seed=seed, model=ref(model.model))
            wire.put(response.mean, posterior.mean)
            wire.put(response.log_var, posterior.log_var)
            if draws:
                drawn = vae.draws(posterior, draws=draws, seed=seed, first_row=first_row)
                wire.put(response.draws, drawn)
            if request.want_kl:
                kl = await vae.kl(posterior, seed=seed, first_row=first_row, call=call)
                wire.put(response.kl, kl)
            return response

    async def reconstruct(self, request: pb.ReconstructRequest, call: Call, record: CallRecord) -> Message:
        with self._admitted(request.model, call, record) as model:
            items = wire.items(request.items, model.spec, max_rows=self._max_rows)
            model.note_rows(len(items))
            first_row = wire.rows_at(request.first_row, rows=len(items))
            chosen_latent = wire.choice("latent", request.latent, pb.LatentMode, default=pb.LATENT_MODE_MEAN)
            latent: LatentMode = "draw" if chosen_latent == pb.LATENT_MODE_DRAW else "mean"
            chosen = wire.encoding(request.encoding, model.spec)
            seed = self._seed(request, draws=latent == "draw")
            vae = model.charge(len(items), field="items.shape")
            result = await vae.reconstruct(items, latent=latent, seed=seed, first_row=first_row, call=call)
            self._observe(
                RowsScored(
                    record.model, record.version, latent, result.reconstruction_nll, result.kl, result.elbo_percentile
                )
            )
            response = pb.ReconstructResponse(seed=seed, model=ref(model.model))
            wire.put(response.reconstruction_nll, result.reconstruction_nll)
            wire.put(response.kl, result.kl)
            wire.put(response.elbo, result.elbo)
            wire.put(response.elbo_percentile, result.elbo_percentile)
            await sampling.put_items(
                response,
                result.decoded.mean,
                model.spec,
                output=pb.OUTPUT_MODE_MEAN,
                encoding=chosen,
                seed=seed,
                first_row=first_row,
                offload=self._offload,
            )
            return response

    async def decode(self, request: pb.DecodeRequest, call: Call, record: CallRecord) -> Message:
        with self._admitted(request.model, call, record) as model:
            latents = wire.latents(request.latents, model.spec, max_rows=self._max_rows)
            model.note_rows(len(latents))
            first_row = wire.rows_at(request.first_row, rows=len(latents))
            output = wire.choice("output", request.output, pb.OutputMode, default=pb.OUTPUT_MODE_MEAN)
            chosen = wire.encoding(request.encoding, model.spec)
            seed = self._seed(request, draws=output == pb.OUTPUT_MODE_DRAW)
            vae = model.charge(len(latents), field="latents.shape")
            decoded = await vae.decode(latents, call=call)
            response = pb.DecodeResponse(seed=seed, model=ref(model.model))
            await sampling.put_items(
                response,
                decoded.mean,
                model.spec,
                output=output,
                encoding=chosen,
                seed=seed,
                first_row=first_row,
                offload=self._offload,
            )
            return response

    async def score(self, request: pb.ScoreRequest, call: Call, record: CallRecord) -> Message:
        with self._admitted(request.model, call, record) as model:
            items = wire.items(request.items, model.spec, max_rows=self._max_rows)
            model.note_rows(len(items))
            samples = wire.importance_samples(request.importance_samples, rows=len(items))
            first_row = wire.rows_at(request.first_row, rows=len(items))
            seed = self._seed(request, draws=True)
            # Every draw is a row to decode. The refusal names the draws, as they are what multiplies the rows.
            vae = model.charge(len(items) * samples, field="importance_samples")
            scored = await score(
                vae,
                items,
                samples=samples,
                seed=seed,
                first_row=first_row,
                call=call.in_bulk(),
                offload=self._offload,
            )
            response = pb.ScoreResponse(seed=seed, model=ref(model.model))
            wire.put(response.log_evidence, scored.log_evidence)
            wire.put(response.elbo, scored.elbo)
            wire.put(response.elbo_percentile, scored.elbo_percentile)
            wire.put(response.effective_samples, scored.effective_samples)
            return response

    async def list_models(self, _request: pb.ListModelsRequest, _call: Call, _record: CallRecord) -> Message:
        return pb.ListModelsResponse(models=[summary(entry) for entry in self._models.entries()])

    async def get_model(self, request: pb.GetModelRequest, call: Call, record: CallRecord) -> Message:
        with self._admitted(request.model, call, record) as model:
            (entry,) = (e for e in self._models.entries() if e.model is model.model)
            spec = model.spec
            response = pb.GetModelResponse(
                summary=summary(entry),
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
            for name, execution in model.model.graphs.items():
                response.graphs[name].CopyFrom(_execution(execution))
            return response

    def _admitted(self, selector: pb.ModelSelector, call: Call, record: CallRecord) -> AdmittedModel:
        return AdmittedModel(self._models.lease(selector.name, selector.version, selector.label), call, record)

    def _drawn_seed(self, request: sampling.Request) -> int:
        return self._seed(request, draws=True)

    def _seed(self, request: Seeded, *, draws: bool) -> int:
        """The request's seed; without one a new seed for draws, else 0, on which only a KL or score could depend."""
        if request.HasField("seed"):
            return wire.integer("seed", request.seed, least=0, most=wire.MAX_SEED)
        return self._pick_seed() if draws else 0


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


def summary(entry: Entry) -> pb.ModelSummary:
    model = ref(entry.model) if entry.model else pb.ModelRef(name=entry.name, version=entry.version)
    return pb.ModelSummary(
        model=model,
        state=_STATES[entry.state],
        reason=entry.reason,
        is_default=entry.is_default,
        labels=entry.labels,
        share=entry.share,
    )
