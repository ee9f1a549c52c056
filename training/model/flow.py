"""The learned prior p(z): RealNVP (Dinh et al. 2017, arXiv 1605.08803), affine couplings applied to eps ~ N(0, I)."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from training.config.config import FlowPrior

MAX_LOG_SCALE = 3.0  # a coupling scales by e^3 at most, so that neither direction overflows


class Coupling(nn.Module):
    """An affine coupling: one half of the vector, a, decides how the other half, b, is scaled and shifted.

    a' = a and b' = b * exp(s(a)) + t(a). `swapped` decides which half is a. Both directions cost the same.
    """

    def __init__(self, size: int, hidden: int, *, swapped: bool) -> None:
        super().__init__()
        self.swapped = swapped
        half = size // 2
        self.sizes = [half, size - half]
        given, changed = reversed(self.sizes) if swapped else self.sizes
        self.network = nn.Sequential(
            nn.Linear(given, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2 * changed)
        )

    def forward(self, eps: Tensor) -> Tensor:
        """eps [rows, size] -> z [rows, size]."""
        given, changed = self._parts(eps)
        log_scale, shift = self._scale_and_shift(given)
        return self._joined(given, changed * torch.exp(log_scale) + shift)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z [rows, size] -> eps [rows, size], and the summands [rows, size] of log |d eps / d z|."""
        given, changed = self._parts(z)
        log_scale, shift = self._scale_and_shift(given)
        eps = self._joined(given, (changed - shift) * torch.exp(-log_scale))
        return eps, self._joined(torch.zeros_like(given), -log_scale)

    def start_as_identity(self) -> None:
        """Set the last layer to zero, so that the coupling changes nothing before training."""
        last = cast(nn.Linear, self.network[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def _scale_and_shift(self, given: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = cast(Tensor, self.network(given)).chunk(2, dim=1)
        return MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE), shift

    def _parts(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.split(vector, self.sizes, dim=1)
        return (second, first) if self.swapped else (first, second)

    def _joined(self, given: Tensor, changed: Tensor) -> Tensor:
        return torch.cat((changed, given) if self.swapped else (given, changed), dim=1)


class RealNvp(nn.Module):
    """eps [rows, latent] -> z [rows, latent], with an exact inverse and density. Starts as the identity, N(0, I)."""

    def __init__(self, latent_size: int, settings: FlowPrior) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(
            Coupling(latent_size, settings.hidden, swapped=index % 2 == 1) for index in range(settings.couplings)
        )
        self.register_buffer("ones", torch.ones(latent_size), persistent=False)

    def forward(self, eps: Tensor) -> Tensor:
        for coupling in self.couplings:
            eps = coupling(eps)
        return eps

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z [rows, latent] -> eps [rows, latent], and the summands [rows, latent] of log |d eps / d z|."""
        log_det = torch.zeros_like(z)
        for coupling in reversed(self.couplings):
            z, change = cast(Coupling, coupling).inverse(z)
            log_det = log_det + change
        return z, log_det

    def log_density(self, z: Tensor) -> Tensor:
        """log p(z) = log N(eps; 0, I) + log |d eps / d z| in nats; [rows]."""
        eps, log_det = self.inverse(z)
        # The sum is a product with ones. onnxruntime's ReduceSum adds in an order that depends on where a row lies in
        # memory, so a row's last bits would depend on its batch. Its matrix product has a fixed order.
        return (log_det - 0.5 * (eps.square() + math.log(2 * math.pi))) @ cast(Tensor, self.ones)
