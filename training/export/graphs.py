"""A model's ONNX graphs, with the artifact format's names and without traces of the machine that made them."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import onnx
import torch
from torch import Tensor, nn

from server.artifact import GRAPH_INPUT, GraphName, graph_outputs
from training.export.lowering import lower_layers
from training.model.vae import Decoder, Encoder, Vae

OPSET = 20
EXAMPLE_ROWS = 2  # with 1 row torch.export would make the batch size a constant


class EncoderGraph(nn.Module):
    """The encoder: x -> mean, logvar."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.encoder(x)
        return mean, log_var


class DecoderGraph(nn.Module):
    """The decoder: z -> mean and, for a Bernoulli, logits."""

    def __init__(self, decoder: Decoder, *, bernoulli: bool) -> None:
        super().__init__()
        self.decoder = decoder
        self.bernoulli = bernoulli

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        output = cast(Tensor, self.decoder(z))
        return (torch.sigmoid(output), output) if self.bernoulli else (output.clone(),)


class LogDensityGraph(nn.Module):
    """The learned prior's density: z -> log_density."""

    def __init__(self, model: Vae) -> None:
        super().__init__()
        self.prior = model.prior

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        assert self.prior is not None
        return (self.prior.log_density(z),)


class PriorGraph(nn.Module):
    """The learned prior: eps -> z."""

    def __init__(self, model: Vae) -> None:
        super().__init__()
        self.prior = model.prior

    def forward(self, eps: Tensor) -> tuple[Tensor, ...]:
        assert self.prior is not None
        return (self.prior(eps),)


def modules(model: Vae) -> dict[GraphName, nn.Module]:
    """The modules to export, by graph, in fp32 on the CPU.

    Each takes rows as its only argument and returns a tuple of the outputs that the artifact format names.
    """
    bernoulli = model.config.likelihood == "bernoulli"
    graphs: dict[GraphName, nn.Module] = {
        "encoder": EncoderGraph(model.encoder),
        "decoder": DecoderGraph(model.decoder, bernoulli=bernoulli),
    }
    if model.prior is not None:
        graphs |= {"prior": PriorGraph(model), "prior_log_density": LogDensityGraph(model)}
    return graphs


def to_onnx(model: Vae, name: GraphName) -> bytes:
    """One graph as the bytes of an ONNX file; the same model gives the same bytes."""
    shape = model.item_shape if name == "encoder" else (model.config.latent_size,)
    module = lower_layers(modules(model)[name]).eval()  # torch.export requires eval(); this is a copy of the model
    with _quiet():
        program = torch.onnx.export(
            module,
            (torch.zeros(EXAMPLE_ROWS, *shape),),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=[GRAPH_INPUT[name]],
            output_names=list(graph_outputs(name, model.config.likelihood)),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _strip(proto)
    onnx.checker.check_model(proto)
    return proto.SerializeToString(deterministic=True)


def _strip(proto: onnx.ModelProto) -> None:
    """Remove torch's metadata: stack traces with absolute paths, and the shapes of all intermediate values."""
    graph = proto.graph
    proto.producer_version = torch.__version__.split("+")[0]  # "+cpu" and "+cu130" write the same graph
    graph.name = "main"
    holders: tuple[Any, ...] = (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer)
    for holder in holders:
        del holder.metadata_props[:]
        holder.doc_string = ""
    del graph.value_info[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide two messages of torch's exporter: that it uses a deprecated class, and that torchvision is missing."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
