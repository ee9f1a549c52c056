"""The events that a run reports: StepDone and EpochDone."""

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
    """A report between two steps; `means` are over the rows of this epoch so far."""

    step: int  # the number of steps done
    steps: int  # of the whole run
    epoch: int  # 1, 2, ...
    epochs: int
    means: Means
    rows_per_second: float


@dataclass(frozen=True, slots=True)
class EpochDone:
    """The report of an epoch that was trained and validated; its checkpoint is written after the report."""

    step: int  # the number of steps done
    epoch: int  # 1, 2, ...
    epochs: int
    train: Means
    validation: Means
    learning_rate: float
    kl_weight: float
    rows_per_second: float
    best: bool  # whether this is the best epoch so far; always false if the validation rows are trained on too
    bound: float | None = None  # the importance-weighted bound of the validation rows, nats; None if not maximised


Event: TypeAlias = StepDone | EpochDone
