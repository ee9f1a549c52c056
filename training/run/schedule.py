"""What changes from step to step: the objective, the weight of KL, the learning rate and the average's decay."""

import math
from dataclasses import dataclass

from training.config.config import Optimisation
from training.run.step import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """What holds at one step."""

    objective: Objective
    learning_rate: float
    average_decay: float  # of the moving average of the weights


def step_settings(settings: Optimisation, *, step: int, steps_per_epoch: int) -> StepSettings:
    """Of step 0, 1, 2, ... of a run."""
    steps = settings.epochs * steps_per_epoch
    weight = kl_weight(settings, step=step, steps=steps)
    return StepSettings(
        objective=objective(settings, epoch=step // steps_per_epoch, kl_weight=weight),
        learning_rate=learning_rate(settings, step=step, steps=steps),
        average_decay=average_decay(settings, step=step),
    )


def objective(settings: Optimisation, *, epoch: int, kl_weight: float) -> Objective:
    """Of epoch 0, 1, ...: the ELBO, by one draw, until the last `bound_fraction` of the epochs begins."""
    late = epoch >= settings.epochs - bound_epochs(settings)
    return Objective(
        bound=settings.bound if late else "elbo",
        gradient=settings.gradient,
        draws=settings.importance_draws if late else 1,
        free_bits=settings.free_bits,
        kl_weight=kl_weight,
    )


def bound_epochs(settings: Optimisation) -> int:
    """How many epochs, the last ones, maximise `bound`; a part of one counts as one."""
    return math.ceil(settings.epochs * settings.bound_fraction)


def learning_rate(settings: Optimisation, *, step: int, steps: int) -> float:
    """Half a cosine from learning_rate at step 0 to final_learning_rate at the last of `steps`."""
    progress = step / max(1, steps - 1)
    span = settings.learning_rate - settings.final_learning_rate
    return settings.final_learning_rate + 0.5 * span * (1 + math.cos(math.pi * progress))


def kl_weight(settings: Optimisation, *, step: int, steps: int) -> float:
    """Rises evenly to beta over the first `kl_warmup` of the steps, so that latents find a use before they cost."""
    ramp = settings.kl_warmup * steps
    return settings.beta * (1.0 if step >= ramp else (step + 1) / (ramp + 1))


def average_decay(settings: Optimisation, *, step: int) -> float:
    """The decay of the moving average; shorter at first, so that it forgets the initial weights."""
    return min(settings.average, (1 + step) / (10 + step))
