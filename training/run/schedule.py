"""How the learning rate, the weight of KL and the average of the weights move over a run."""

import math
from dataclasses import replace

from training.config.config import Optimisation


def objective(settings: Optimisation, *, epoch: int) -> Optimisation:
    """The settings that hold in epoch 0, 1, ...: the ELBO's, by one draw, until the last `bound_fraction` begins."""
    if epoch >= settings.epochs - bound_epochs(settings):
        return settings
    return replace(settings, bound="elbo", importance_draws=1)


def bound_epochs(settings: Optimisation) -> int:
    """How many epochs, the last ones, climb `bound`; a part of one counts as one."""
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
