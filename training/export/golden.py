"""The golden outputs of golden.npz: inputs with torch's outputs in fp32, by which the server checks the graphs."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from server.artifact import GRAPH_INPUT, GraphName, LikelihoodName, graph_outputs
from server.core.arrays import Floats
from training.model.vae import Vae
from training.randomness import generator
from training.run.minibatches import client_input

ROWS = 16


def inputs(model: Vae, rows: Tensor, *, count: int) -> dict[GraphName, Tensor]:
    """`count` inputs for each graph; the same model and rows [N, *item] of a data set give the same inputs."""
    draws = generator(0, "golden")
    some = torch.randperm(len(rows), generator=draws).repeat(-(-count // len(rows)))[:count]
    eps = torch.randn(count, model.config.latent_size, generator=draws)
    with torch.inference_mode():
        z = eps if model.prior is None else model.prior(eps)
    graphs: dict[GraphName, Tensor] = {"encoder": client_input(rows[some]), "decoder": z}
    return graphs if model.prior is None else graphs | {"prior": eps, "prior_log_density": z}


def arrays(
    modules: Mapping[GraphName, nn.Module], rows: Mapping[GraphName, Tensor], likelihood: LikelihoodName
) -> dict[str, Floats]:
    """The arrays of golden.npz by name: `x`, `z`, `eps` and `<graph>.<output>`, float32, ROWS rows each."""
    golden: dict[str, Floats] = {}
    for name, module in modules.items():
        some = rows[name][:ROWS]
        golden[GRAPH_INPUT[name]] = some.numpy()
        with torch.inference_mode():
            outputs = module(some)
        for output, values in zip(graph_outputs(name, likelihood), outputs, strict=True):
            golden[f"{name}.{output}"] = np.ascontiguousarray(values.numpy())
    return golden
