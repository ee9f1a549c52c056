"""Networks: a trained model's encoder, decoder and prior in torch, as `export` would write them."""

from typing import cast

import torch
from torch import Tensor

from training.evaluation.held_out import ROWS_AT_ONCE
from training.export.graphs import modules
from training.model.objective import Posterior
from training.model.vae import Vae


class Networks:
    """The functions of an exported model's graphs, for a model that is not exported."""

    def __init__(self, model: Vae) -> None:
        self._graphs = modules(model)
        self._flow = model.prior

    def encode(self, x: Tensor) -> Posterior:
        """x [rows, *item] -> mean, log_var [rows, latent]."""
        parts = [Posterior(*self._graphs["encoder"](part)) for part in torch.split(x, ROWS_AT_ONCE)]
        return Posterior(*map(torch.cat, zip(*parts, strict=True)))

    def decode(self, z: Tensor) -> Tensor:
        """z [rows, latent] -> the mean of p(x | z), [rows, *item]."""
        return cast(Tensor, self._graphs["decoder"](z)[0])

    def from_noise(self, eps: Tensor) -> Tensor:
        """eps ~ N(0, I) -> z ~ p(z), both [rows, latent]."""
        return eps if self._flow is None else cast(Tensor, self._flow(eps))

    def to_noise(self, z: Tensor) -> Tensor:
        """The inverse of from_noise; z and the result are [rows, latent]."""
        return z if self._flow is None else self._flow.inverse(z)[0]
