"""Minibatches: the rows of each step and the noise drawn for them, which depend on seed and step alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.config.config import Config
from training.randomness import generator
from training.run.hardware import Hardware


@dataclass(frozen=True, slots=True)
class Minibatch:
    """This process's part of a minibatch."""

    x: Tensor  # float32 [rows, *item]; images in 0..1
    noise: Tensor  # float32 [rows, draws, latent], N(0, I)
    weight: float  # the number of rows here, divided by that of the whole minibatch


@dataclass(slots=True)
class Minibatches:
    """The minibatches of a run over `rows`, which lie on the training device or, if they are too large, on the CPU.

    Every epoch takes the rows in a new random order, and leaves out those after the last full minibatch. Several
    processes draw the same rows and noise and take a part each, so together they see what a single process would.
    """

    rows: Tensor
    config: Config
    hardware: Hardware
    _epoch: int = -1
    _order: Tensor | None = None

    @property
    def batch_size(self) -> int:
        return min(self.config.optimisation.batch_size, len(self.rows))

    @property
    def per_epoch(self) -> int:
        return len(self.rows) // self.batch_size

    @property
    def total(self) -> int:
        return self.per_epoch * self.config.optimisation.epochs

    def at(self, step: int, *, draws: int) -> Minibatch:
        """The minibatch of step 0, 1, 2, ..., with noise for `draws` draws of z per row."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order is None or self._epoch != epoch:
            order = torch.randperm(len(self.rows), generator=generator(self.config.seed, "order", epoch))
            self._epoch, self._order = epoch, order.to(self.rows.device)
        index = self._order[position * self.batch_size : (position + 1) * self.batch_size]
        device, part = self.hardware.device, self.hardware.ranks.part(len(index))
        stream = generator(self.config.seed, "step", step, device=device)
        x = likelihood_input(self.rows[index].to(device), self.config, stream)
        noise = torch.randn((len(index), draws, self.config.latent_size), generator=stream, device=device)
        return Minibatch(self.hardware.to_layout(x[part]), noise[part], weight=(part.stop - part.start) / len(index))


def likelihood_input(rows: Tensor, config: Config, draws: torch.Generator) -> Tensor:
    """Rows as the likelihood sees them: binarised afresh for a Bernoulli, else as a client sends them; float32."""
    return binarise(rows, draws) if config.likelihood == "bernoulli" else client_input(rows)


def client_input(rows: Tensor) -> Tensor:
    """Rows as a client sends them: images grey in 0..1, tables in their own units; float32."""
    return grey(rows) if rows.dtype == torch.uint8 else rows


def grey(rows: Tensor) -> Tensor:
    """Bytes 0..255 as float32 0..1."""
    return rows.float().div_(255)


def binarise(rows: Tensor, draws: torch.Generator) -> Tensor:
    """Each pixel 1 with probability value / 255, else 0: dynamic binarisation (Burda et al. 2016)."""
    # r is uniform over 0..254, so P(r < value) = value / 255 exactly; 0 stays 0 and 255 stays 255.
    r = torch.empty_like(rows).random_(0, 255, generator=draws)
    return (r < rows).float()
