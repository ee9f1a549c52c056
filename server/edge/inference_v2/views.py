"""The views: the four models as which clients of the Open Inference Protocol see one VAE, their tensors and code."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np

from server.core.call import Call
from server.core.events import RowsScored
from server.core.spec import Spec
from server.core.vae.vae import Vae
from server.edge import wire
from server.edge.admission import AdmittedModel
from server.edge.inference_v2.tensors import Array, Inputs, Tensor


@dataclass(frozen=True, slots=True)
class Answer:
    """A view's answer: the rows, and a function for each output by name, called only if the output is requested."""

    rows: int
    outputs: Mapping[str, Callable[[], Array]]


@dataclass(frozen=True, slots=True)
class View:
    """One way to use a VAE, as a model of its own."""

    suffix: str  # added to the VAE's name
    graph: str  # the graph that takes most of the time
    inputs: Callable[[Spec], tuple[Tensor, ...]]
    outputs: Callable[[Spec], tuple[Tensor, ...]]
    infer: Callable[["Request"], Awaitable[Answer]]

    def takes_rows(self, spec: Spec) -> bool:
        """Whether a request's rows are those of its inputs."""
        return all(tensor.per_row for tensor in self.inputs(spec))


@dataclass(frozen=True, slots=True)
class Request:
    """One ModelInfer request, as a view's function gets it."""

    inputs: Inputs
    model: AdmittedModel
    call: Call
    max_rows: int
    pick_seed: Callable[[], int]
    observe: Callable[[RowsScored], None]

    def charge(self, rows: int, *, field: str) -> Vae:
        """Charge valid rows and return the computation. Raises QuotaExceeded or InvalidInput."""
        self.model.note_rows(rows)
        return self.model.charge(rows, field=field)


async def _encode(request: Request) -> Answer:
    items = await request.inputs.items("x", request.model.spec)
    vae = request.charge(len(items), field="x.shape")
    posterior = await vae.encode(items, call=request.call)
    return Answer(len(items), {"mean": lambda: posterior.mean, "logvar": lambda: posterior.log_var})


async def _decode(request: Request) -> Answer:
    latents = await request.inputs.latents("z", request.model.spec)
    vae = request.charge(len(latents), field="z.shape")
    decoded = await vae.decode(latents, call=request.call)
    return Answer(len(latents), {"mean": lambda: decoded.mean})


async def _reconstruct(request: Request) -> Answer:
    items = await request.inputs.items("x", request.model.spec)
    model = request.model.model
    vae = request.charge(len(items), field="x.shape")
    result = await vae.reconstruct(items, latent="mean", seed=0, first_row=0, call=request.call)
    request.observe(
        RowsScored(model.name, model.version, "mean", result.reconstruction_nll, result.kl, result.elbo_percentile)
    )
    return Answer(
        len(items),
        {
            "items": lambda: result.decoded.mean,
            "reconstruction_nll": lambda: result.reconstruction_nll,
            "kl": lambda: result.kl,
            "elbo": lambda: result.elbo,
            "percentile": lambda: result.elbo_percentile,
        },
    )


async def _sample(request: Request) -> Answer:
    inputs = request.inputs
    rows = inputs.integer("count", least=1, most=request.max_rows)
    assert rows is not None  # it is not optional
    seed = inputs.integer("seed", least=0, most=wire.MAX_SEED)
    if seed is None:
        seed = request.pick_seed()
    first_row = inputs.integer("first_row", least=0, most=wire.MAX_ROW - rows) or 0
    temperature = inputs.temperature("temperature")
    vae = request.charge(rows, field="count")
    sampled = await vae.sample(
        rows=rows,
        seed=seed,
        first_row=first_row,
        temperature=1.0 if temperature is None else temperature,
        call=request.call,
    )
    outputs: dict[str, Callable[[], Array]] = {
        "items": lambda: sampled.decoded.mean,
        "latents": sampled.latents,
        "seed": lambda: np.array([seed], np.int64),
    }
    return Answer(rows, outputs)


def _items(spec: Spec) -> tuple[Tensor, ...]:
    return (Tensor("x", "FP32", spec.item_shape, accepts=("FP32", "UINT8") if spec.value_range else ("FP32",)),)


def _latents(spec: Spec) -> tuple[Tensor, ...]:
    return (Tensor("z", "FP32", (spec.latent_size,), accepts=("FP32",)),)


def _number(name: str, datatype: str, *, optional: bool) -> Tensor:
    return Tensor(name, datatype, (1,), per_row=False, accepts=(datatype,), optional=optional)


VIEWS = (
    View(
        suffix="",
        graph="decoder",
        inputs=_items,
        outputs=lambda spec: (
            Tensor("items", "FP32", spec.item_shape),
            *(Tensor(name, "FP32", ()) for name in ("reconstruction_nll", "kl", "elbo", "percentile")),
        ),
        infer=_reconstruct,
    ),
    View(
        suffix="-encoder",
        graph="encoder",
        inputs=_items,
        outputs=lambda spec: (
            Tensor("mean", "FP32", (spec.latent_size,)),
            Tensor("logvar", "FP32", (spec.latent_size,)),
        ),
        infer=_encode,
    ),
    View(
        suffix="-decoder",
        graph="decoder",
        inputs=_latents,
        outputs=lambda spec: (Tensor("mean", "FP32", spec.item_shape),),
        infer=_decode,
    ),
    View(
        suffix="-sampler",
        graph="decoder",
        inputs=lambda spec: (  # noqa: ARG005 - the others' inputs depend on it
            _number("count", "INT64", optional=False),
            _number("seed", "INT64", optional=True),
            _number("first_row", "INT64", optional=True),
            _number("temperature", "FP32", optional=True),
        ),
        outputs=lambda spec: (
            Tensor("items", "FP32", spec.item_shape),
            Tensor("latents", "FP32", (spec.latent_size,)),
            Tensor("seed", "INT64", (1,), per_row=False),
        ),
        infer=_sample,
    ),
)
