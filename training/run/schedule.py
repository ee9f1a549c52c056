"""The schedule of a run: objective, weight of KL, learning rate and decay of the average, as functions of the step."""

import math
from dataclasses import dataclass

from training.config.config import Optimisation
from training.run.step import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """The settings of one step."""

    objective: Objective
    learning_rate: float
    average_decay: float  # of the moving average of the weights


def step_settings(settings: Optimisation, *, step: int, steps_per_epoch: int) -> StepSettings:
    """The settings of step 0, 1, 2, ... of a run."""
    steps = settings.epochs * steps_per_epoch
    weight = kl_weight(settings, step=step, steps=steps)
    return StepSettings(
        objective=objective(settings, epoch=step // steps_per_epoch, kl_weight=weight),
        learning_rate=learning_rate(settings, step=step, steps=steps),
        average_decay=average_decay(settings, step=step),
    )


def objective(settings: Optimisation, *, epoch: int, kl_weight: float) -> Objective:
    """The objective of epoch 0, 1, ...: first the ELBO with one draw, then `bound` in the last `bound_fraction`."""
    late = epoch >= settings.epochs - bound_epochs(settings)
    return Objective(
        bound=settings.bound if late else "elbo",
        gradient=settings.gradient,
        draws=settings.importance_draws if late else 1,
        free_bits=settings.free_bits,
        kl_weight=kl_weight,
    )


def bound_epochs(settings: Optimisation) -> int:
    """The number of epochs at the end that maximise `bound`, rounded up."""
    return math.ceil(settings.epochs * settings.bound_fraction)


def learning_rate(settings: Optimisation, *, step: int, steps: int) -> float:
    """Half a cosine from learning_rate at step 0 to final_learning_rate at the last of `steps`."""
    progress = step / max(1, steps - 1)
    span = settings.learning_rate - settings.final_learning_rate
    return settings.final_learning_rate + 0.5 * span * (1 + math.cos(math.pi * progress))


def kl_weight(settings: Optimisation, *, step: int, steps: int) -> float:
    """A linear rise to beta over the first `kl_warmup` of the steps, so that latents come into use before KL counts."""
    ramp = settings.kl_warmup * steps
    return settings.beta * (1.0 if step >= ramp else (step + 1) / (ramp + 1))


def average_decay(settings: Optimisation, *, step: int) -> float:
    """The decay of the moving average; it is smaller at first, so that the average forgets the initial weights."""
    return min(settings.average, (1 + step) / (10 + step))
