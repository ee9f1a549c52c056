"""What fit reports while it runs: facts, for whoever listens."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Means:
    """Averages over rows, in nats."""

    elbo: float
    reconstruction: float  # -E_q[log p(x | z)]
    kl: float


@dataclass(frozen=True, slots=True)
class StepDone:
    """Some steps were done; the means are over the rows of this epoch so far."""

    step: int  # done so far
    steps: int
    epoch: int  # 1, 2, ...
    epochs: int
    means: Means
    rows_per_second: float


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An epoch was trained and validated; it is about to be saved."""

    step: int
    epoch: int  # 1, 2, ...
    epochs: int
    train: Means
    validation: Means
    learning_rate: float
    kl_weight: float
    rows_per_second: float
    best: bool  # whether this is the best epoch so far; never, if the validation rows are trained on too
    bound: float | None = (
        None  # the importance-weighted one of the validation rows, nats, where the run maximises that one
    )


Event: TypeAlias = StepDone | EpochDone
