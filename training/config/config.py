"""Config, the settings of one training run, as frozen dataclasses that check their values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from training.config.mapping import from_mapping
from training.errors import TrainingError

Activation = Literal["silu", "relu"]
Upsampling = Literal["transposed", "subpixel"]
Gradient = Literal["total", "path"]
Bound = Literal["elbo", "iwae", "dreg"]  # dreg maximises the same bound as iwae, by another gradient
TrainOn = Literal["train", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvArchitecture:
    """A convolutional encoder that halves the image once per width, and a decoder that doubles it as often.

    It takes images of any size.
    """

    kind: Literal["conv"] = "conv"
    widths: tuple[int, ...] = (32, 64)  # channels after each halving
    residual_blocks: tuple[int, ...] = (0, 0)  # how many after each halving
    decoder_widths: tuple[int, ...] = ()  # the decoder's, in the encoder's order; empty: as the encoder
    decoder_blocks: tuple[int, ...] = ()  # the decoder's residual blocks, in the encoder's order; empty: as the encoder
    block_convolutions: int = 2  # in one residual block
    hidden: int = 256  # width of the dense layer between image and latent
    upsampling: Upsampling = "transposed"  # transposed convolutions, or convolutions laid out as pixels
    last_kernel: int = 4  # kernel size of the transposed convolution that outputs the pixels; 4 or 6
    activation: Activation = "silu"  # between all layers

    def __post_init__(self) -> None:
        require(len(self.widths) >= 1 and min(self.widths) >= 1, f"architecture.widths is {self.widths}")
        require(
            len(self.residual_blocks) == len(self.widths) and min(self.residual_blocks) >= 0,
            f"architecture.residual_blocks is {self.residual_blocks}; it needs one count per width {self.widths}",
        )
        for name, values in (("widths", self.decoder_widths), ("blocks", self.decoder_blocks)):
            require(
                len(values) in (0, len(self.widths)) and min(values, default=0) >= 0,
                f"architecture.decoder_{name} is {values}; it needs one number per width {self.widths}, or none at all",
            )
        require(
            self.block_convolutions >= 1,
            f"architecture.block_convolutions is {self.block_convolutions}; it must be at least 1",
        )
        require(self.hidden >= 1, f"architecture.hidden is {self.hidden}; it must be at least 1")
        require(self.last_kernel in (4, 6), f"architecture.last_kernel is {self.last_kernel}; allowed: 4, 6")


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpArchitecture:
    """Dense layers only; the decoder has the encoder's widths in reverse."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = (256, 128)  # widths of the encoder's layers
    activation: Activation = "silu"  # between all layers

    def __post_init__(self) -> None:
        require(len(self.hidden) >= 1 and min(self.hidden) >= 1, f"architecture.hidden is {self.hidden}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TutorialArchitecture:
    """The tutorial's network, layer by layer (networks/tutorial.py)."""

    kind: Literal["tutorial"] = "tutorial"
    filters: int = 64  # of each convolution
    hidden: int = 128  # width of the dense layers

    def __post_init__(self) -> None:
        require(
            self.filters >= 1 and self.hidden >= 1, f"architecture has filters {self.filters}, hidden {self.hidden}"
        )


Architecture = ConvArchitecture | MlpArchitecture | TutorialArchitecture


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowPrior:
    """A RealNVP prior p(z), trained together with encoder and decoder (model/flow.py)."""

    couplings: int = 6  # each scales and shifts one half of the vector by functions of the other
    hidden: int = 256  # width of those functions' layers

    def __post_init__(self) -> None:
        require(self.couplings >= 2, f"prior.couplings is {self.couplings}; fewer than 2 leave half of z untouched")
        require(self.hidden >= 1, f"prior.hidden is {self.hidden}; it must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """How a run trains: AdamW with cosine decay, KL warm-up, gradient clipping and an average of the weights."""

    epochs: int = 40  # passes over the training rows
    batch_size: int = 128  # rows a step; with several processes, of all together
    learning_rate: float = 1e-3  # at the first step; it falls along half a cosine
    final_learning_rate: float = 1e-5  # of the last step
    betas: tuple[float, ...] = (0.9, 0.999)  # of AdamW
    weight_decay: float = 1e-4  # of the layers' weights; not of biases, the decoder's offset per pixel, and sigma
    beta: float = 1.0  # weight of KL after warm-up (Higgins et al. 2017); every reported figure has weight 1
    kl_warmup: float = 0.1  # part of all steps over which the weight of KL rises evenly from 0; --start-from: 0
    free_bits: float = 0.0  # nats of KL per latent, averaged over a minibatch, below which it is not reduced
    bound: Bound = "elbo"  # of log p(x), to be maximised; iwae: importance-weighted; dreg: its gradient with less noise
    importance_draws: int = 1  # draws of z per row and step, for iwae and dreg; a step costs about as many decodes
    bound_fraction: float = 1.0  # last part of the epochs, which maximises `bound`; those before maximise the ELBO
    gradient_norm: float = 100.0  # the norm of the gradient, in nats per row, is clipped here
    gradient: Gradient = "total"  # of the ELBO: all of it, or along z alone; bound iwae takes total only
    average: float = 0.999  # decay of the exponential moving average of the weights, which is validated and exported

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"epochs is {self.epochs}; it must be at least 1")
        require(self.batch_size >= 1, f"batch_size is {self.batch_size}; it must be at least 1")
        require(0 < self.learning_rate <= 1, f"learning_rate is {self.learning_rate}; allowed: above 0, up to 1")
        require(
            0 <= self.final_learning_rate <= self.learning_rate,
            f"final_learning_rate is {self.final_learning_rate}; allowed: 0 to learning_rate, {self.learning_rate}",
        )
        require(
            len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas), f"betas is {self.betas}; two in [0, 1)"
        )
        require(self.weight_decay >= 0, f"weight_decay is {self.weight_decay}; it must not be negative")
        require(0 <= self.kl_warmup <= 1, f"kl_warmup is {self.kl_warmup}; allowed: 0 to 1")
        require(self.beta >= 0, f"beta is {self.beta}; it must not be negative")
        require(self.free_bits >= 0, f"free_bits is {self.free_bits}; it must not be negative")
        require(1 <= self.importance_draws <= 1000, f"importance_draws is {self.importance_draws}; allowed: 1 to 1000")
        require(
            self.bound != "elbo" or self.importance_draws == 1,
            f"importance_draws is {self.importance_draws}; bound elbo takes 1: give 1, or bound iwae or dreg",
        )
        require(0 < self.bound_fraction <= 1, f"bound_fraction is {self.bound_fraction}; allowed: above 0, up to 1")
        require(
            self.bound != "iwae" or self.gradient == "total",
            "gradient path is biased for bound iwae (arXiv 1810.04152); take bound dreg, or gradient total",
        )
        require(
            self.free_bits == 0 or (self.bound == "elbo" and self.gradient == "total"),
            f"free_bits needs KL in closed form: bound elbo and gradient total, not {self.bound} and {self.gradient}",
        )
        require(self.gradient_norm > 0, f"gradient_norm is {self.gradient_norm}; it must be above 0")
        require(0 <= self.average < 1, f"average is {self.average}; allowed: 0 up to, not including, 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of one run except its data and its machine."""

    preset: str
    architecture: Architecture
    latent_size: int  # dimensions of z; every preset has its own
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"  # p(x | z)
    sigma: float | None = None  # Gaussian: fixed, of 0..1 or of a column's deviation; learned if absent
    prior: FlowPrior | None = None  # None: N(0, I)
    optimisation: Optimisation = field(default_factory=Optimisation)
    train_on: TrainOn = "train"  # all: validation rows too; the last epoch's average is exported
    seed: int = 0  # decides the weights, the order of rows and every draw

    def __post_init__(self) -> None:
        require(1 <= self.latent_size <= 4096, f"latent_size is {self.latent_size}; allowed: 1 to 4096")
        require(
            self.prior is None or self.latent_size >= 2, "latent_size is 1; a learned prior couples at least 2 latents"
        )
        require(
            self.prior is None or self.optimisation.free_bits == 0,
            "free_bits is defined for KL(q, N(0, I)) in closed form; a learned prior has none: drop one of the two",
        )
        require(0 <= self.seed < 2**63, f"seed is {self.seed}; allowed: 0 to 2^63 - 1")
        require(self.sigma is None or self.sigma > 0, f"sigma is {self.sigma}; it must be above 0")
        require(
            self.sigma is None or self.likelihood == "gaussian", "sigma belongs to --likelihood gaussian; drop it here"
        )

    def to_mapping(self) -> dict[str, Any]:
        """The same settings as plain dicts, lists, numbers and strings, which JSON and TOML can hold."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Config":
        """The inverse of to_mapping.

        Raises TrainingError, which names the key, if one is unknown, missing, of the wrong type or not allowed.
        """
        return from_mapping(cls, facts)


def require(condition: bool, problem: str) -> None:
    """Raise TrainingError(problem) unless `condition` is true."""
    if not condition:
        raise TrainingError(problem)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value
