"""The training loop: a step per minibatch, and validation and a checkpoint after every epoch.

If several processes train together (distributed.py), each runs this loop on its part of every minibatch. Inside a step
(step.py) and in validation they add up gradients and sums, so after each step all states are equal.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from training.datasets import Dataset
from training.errors import TrainingError
from training.model.objective import importance_weighted_bound
from training.model.vae import Vae
from training.randomness import generator
from training.run.hardware import Hardware
from training.run.minibatches import Minibatches, likelihood_input
from training.run.progress import EpochDone, Event, Means, StepDone
from training.run.schedule import step_settings
from training.run.state import Best, State
from training.run.step import draw, elbo_terms, log_importance_weights, totals, update

REPORT_EVERY = 20  # steps between two reports; a NaN is noticed at a report
VALIDATION_ROWS = 500  # that go through the networks at once


def fit(
    state: State,
    dataset: Dataset,
    *,
    hardware: Hardware,
    save: Callable[[], None],
    observe: Callable[[Event], None],
    stopping: Callable[[], bool],
    clock: Callable[[], float],
) -> bool:
    """Train `state` to the end of its run and return True, or return False if `stopping` is true in any process.

    `save` is called after every epoch and before returning False; `observe` is called with every event. Raises
    TrainingError if the loss is no longer a number; such a state is never saved.
    """
    config = state.model.config
    batches = Minibatches(hardware.to_device_if_small(dataset.rows(config.train_on)), config, hardware)
    epochs = config.optimisation.epochs
    started, first = clock(), state.step  # time and step at which this epoch began

    def speed() -> float:
        return (state.step - first) * batches.batch_size / max(clock() - started, 1e-9)

    while state.step < batches.total:
        if hardware.ranks.any(stopping()):
            save()
            return False
        epoch = state.step // batches.per_epoch + 1
        now = step_settings(config.optimisation, step=state.step, steps_per_epoch=batches.per_epoch)
        update(
            state,
            batches.at(state.step, draws=now.objective.draws),
            now.objective,
            learning_rate=now.learning_rate,
            average_decay=now.average_decay,
            hardware=hardware,
        )
        ended = state.step % batches.per_epoch == 0
        if ended or state.step % REPORT_EVERY == 0:
            means = _means(state.sums)
            _require_finite(means, state.step, epoch)
            observe(StepDone(state.step, batches.total, epoch, epochs, means, speed()))
        if ended:
            rate = speed()  # measured before validation, whose time does not count
            validation, weighted = validate(state.average, dataset, hardware)
            _require_finite(validation, state.step, epoch)
            reached = validation.elbo if weighted is None else weighted
            best = config.train_on == "train" and (state.best is None or reached > state.best.bound)
            if best:
                weights = {name: value.clone() for name, value in state.average.state_dict().items()}
                state.best = Best(epoch, reached, weights)
            state.sums.zero_()
            observe(
                EpochDone(
                    step=state.step,
                    epoch=epoch,
                    epochs=epochs,
                    train=means,
                    validation=validation,
                    learning_rate=now.learning_rate,
                    kl_weight=now.objective.kl_weight,
                    rows_per_second=rate,
                    best=best,
                    bound=weighted,
                )
            )
            save()
            started, first = clock(), state.step
    return True


def validate(model: Vae, dataset: Dataset, hardware: Hardware) -> tuple[Means, float | None]:
    """The ELBO of the validation rows and, if the run maximises it, the importance-weighted bound, in nats.

    The noise is fixed. Raises TrainingError if a process is lost.
    """
    config = model.config
    weighted = config.optimisation.bound != "elbo"
    stream = generator(0, "validation", device=hardware.device)
    sums = torch.zeros(4, dtype=torch.float64, device=hardware.device)
    with torch.inference_mode():
        for rows in torch.split(dataset.validation.rows, VALIDATION_ROWS):
            x = likelihood_input(rows.to(hardware.device), config, stream)
            shape = len(x), config.optimisation.importance_draws, config.latent_size
            noise = torch.randn(shape, generator=stream, device=hardware.device)
            part = hardware.ranks.part(len(x))
            draws = draw(model, hardware.to_layout(x[part]), noise[part], autocast=hardware.autocast())
            sums[:3] += totals(elbo_terms(model, draws))
            if weighted:
                bound = importance_weighted_bound(log_importance_weights(model, draws))
                sums[3] += bound.sum(dtype=torch.float64)
    hardware.ranks.add([sums])
    return _means(sums[:3]), float(sums[3] / sums[2]) if weighted else None


def _means(sums: Tensor) -> Means:
    log_likelihood, kl, rows = sums.tolist()
    return Means(elbo=(log_likelihood - kl) / rows, reconstruction=-log_likelihood / rows, kl=kl / rows)


def _require_finite(means: Means, step: int, epoch: int) -> None:
    if not math.isfinite(means.elbo):
        raise TrainingError(
            f"the loss is no longer a number at step {step}, epoch {epoch}; try a lower --lr, or --precision fp32"
        )
