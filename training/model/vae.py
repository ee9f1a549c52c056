"""Vae, the variational autoencoder: encoder q(z | x), decoder p(x | z), prior p(z), and their initial weights."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from training.config.config import Config, require
from training.datasets.dataset import kind_of
from training.model.flow import Coupling, RealNvp
from training.model.likelihood import SMALLEST_LOG_SIGMA, bernoulli_log_likelihood, gaussian_log_likelihood
from training.model.networks import build
from training.model.networks.layers import ResidualBlock
from training.model.objective import Posterior, log_standard_normal

LOG_VAR_LIMITS = (-12.0, 8.0)
# Values further from a column's mean are clamped to this many standard deviations, so that no finite number becomes a
# NaN. None of N training rows is more than sqrt(N) standard deviations from the mean.
MOST_DEVIATIONS = 1e6


class Standardisation(nn.Module):
    """Conversion of a table's units to those of the networks: standard deviations from the mean of the training rows.

    It is part of the exported graphs, so that servers and clients use the table's own units only.
    """

    def __init__(self, item_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(item_shape))
        self.register_buffer("scale", torch.ones(item_shape))

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.scale).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)

    def inverse(self, x: Tensor) -> Tensor:
        return x * self.scale + self.mean


class Encoder(nn.Module):
    """q(z | x): a network that gives the mean and log-variance of a diagonal Gaussian (Eq. 10)."""

    def __init__(
        self, body: nn.Module, features: int, latent_size: int, *, standardisation: Standardisation | None
    ) -> None:
        super().__init__()
        self.standardisation = standardisation
        self.body = body
        self.mean = nn.Linear(features, latent_size)
        self.log_var = nn.Linear(features, latent_size)

    def forward(self, x: Tensor) -> Posterior:
        """x [rows, *item] in item units -> mean and log_var [rows, latent], log_var within LOG_VAR_LIMITS."""
        features = self.body(x if self.standardisation is None else self.standardisation(x))
        return Posterior(self.mean(features).float(), self.log_var(features).float().clamp(*LOG_VAR_LIMITS))


class Decoder(nn.Module):
    """g(z) of Eq. 5: a network that gives the logits of a Bernoulli, or the mean of a Gaussian, for each dimension."""

    def __init__(
        self,
        body: nn.Module,
        item_shape: tuple[int, ...],
        *,
        item_bias: bool,
        standardisation: Standardisation | None,
    ) -> None:
        super().__init__()
        self.standardisation = standardisation
        self.body = body
        self.bias = nn.Parameter(torch.zeros(item_shape)) if item_bias else None

    def forward(self, z: Tensor) -> Tensor:
        """z [rows, latent] -> [rows, *item]: logits, or a Gaussian's mean in item units."""
        out = cast(Tensor, self.body(z)).float()
        out = out if self.bias is None else out + self.bias
        return out if self.standardisation is None else self.standardisation.inverse(out)


class Vae(nn.Module):
    """Encoder, decoder, prior and likelihood of one configuration, for items of one shape.

    Its methods are pure: they draw no random numbers, and train() and eval() change no result. run/step.py computes the
    loss from them.
    """

    def __init__(self, config: Config, item_shape: tuple[int, ...]) -> None:
        """Build the model without initial weights (see `initialise`).

        Raises TrainingError if the configuration cannot take items of this shape.
        """
        super().__init__()
        bodies = build(config.architecture, item_shape, config.latent_size)
        table = kind_of(item_shape) == "table"
        require(
            not table or config.likelihood == "gaussian",
            "the rows of a table need --likelihood gaussian; use --preset table",
        )
        self.config = config
        self.item_shape = item_shape
        units = Standardisation(item_shape) if table else None
        self.encoder = Encoder(bodies.encoder, bodies.features, config.latent_size, standardisation=units)
        self.decoder = Decoder(bodies.decoder, item_shape, item_bias=bodies.item_bias, standardisation=units)
        self.prior = RealNvp(config.latent_size, config.prior) if config.prior else None
        # One sigma for all dimensions, in item units or in a table's standard deviations. A Bernoulli has none.
        self.log_sigma = (
            nn.Parameter(torch.tensor(math.log(config.sigma or 0.3)), requires_grad=config.sigma is None)
            if config.likelihood == "gaussian"
            else None
        )

    def encode(self, x: Tensor) -> Posterior:
        """q(z | x) of x [rows, *item] in item units."""
        return cast(Posterior, self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """The input of log_likelihood: logits, or a Gaussian's mean, [rows, *item] from z [rows, latent]."""
        return cast(Tensor, self.decoder(z))

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z), given the decoder's output [rows, *item]; [rows]."""
        if self.log_sigma is None:
            return bernoulli_log_likelihood(x, output)
        scale = None if self.standardisation is None else self.standardisation.scale
        return gaussian_log_likelihood(x, output, self.log_sigma.clamp(min=SMALLEST_LOG_SIGMA), scale)

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z); z is [rows, k, latent], the result [rows, k]."""
        if self.prior is None:
            return log_standard_normal(z)
        return self.prior.log_density(z.flatten(0, 1)).view(z.shape[:2])

    @property
    def standardisation(self) -> Standardisation | None:
        """The conversion of a table's units, shared by encoder and decoder; None for images."""
        return self.encoder.standardisation

    @property
    def sigma(self) -> float | None:
        """The Gaussian's sigma, in item units or, for a table, in those of `scale`; None for a Bernoulli."""
        if self.log_sigma is None:
            return None
        return math.exp(max(float(self.log_sigma.detach()), SMALLEST_LOG_SIGMA))

    @property
    def scale(self) -> tuple[float, ...] | None:
        """The standard deviation of each column, in item units; None for images."""
        return None if self.standardisation is None else tuple(self.standardisation.scale.tolist())

    @property
    def parameters_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())


def initialise(model: Vae, *, mean_item: Tensor, deviation: Tensor | None = None, generator: torch.Generator) -> None:
    """Draw the weights from `generator`, and make the mean of the training items the decoder's initial output.

    mean_item [*item] is in item units; deviation [*item] is for a table only. Weights have torch's default distribution
    (uniform within 1 / sqrt(fan in)); residual blocks and couplings start as the identity.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                fan_in = nn.init._calculate_correct_fan(module.weight, "fan_in")
                module.weight.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)
                if module.bias is not None:
                    module.bias.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)
        for module in model.modules():
            if isinstance(module, (ResidualBlock, Coupling)):
                module.start_as_identity()
        if model.standardisation is not None:
            assert deviation is not None
            model.standardisation.mean.copy_(mean_item)
            model.standardisation.scale.copy_(deviation)
        elif model.decoder.bias is not None:
            bernoulli = model.config.likelihood == "bernoulli"
            # A pixel that is always black or white has no finite logit; 1/510 is half a grey value.
            inside = mean_item.clamp(1 / 510, 1 - 1 / 510)
            model.decoder.bias.copy_(torch.logit(inside) if bernoulli else mean_item)
