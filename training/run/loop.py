"""The training loop: a minibatch, a step; validation and a checkpoint once an epoch.

Where several processes train together (ranks.py) each runs this loop on its part of every minibatch. They add up what
concerns the whole minibatch inside a step (climb.py) and in validation; after each step all states are equal.
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

REPORT_EVERY = 20  # steps; also how soon a NaN is noticed
VALIDATION_ROWS = 500  # in one pass


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
    """Move `state` to the end of its run; True if it got there, False if `stopping` said so first, in any process.

    `save` is called after every epoch and when stopping. Raises TrainingError when the loss is no longer a number;
    `save` has then not been called with it.
    """
    config = state.model.config
    batches = Minibatches(hardware.near(dataset.rows(config.train_on)), config, hardware)
    epochs = config.optimisation.epochs
    started, first = clock(), state.step  # of this epoch

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
            rate = speed()  # before validation, which is not training
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
    """The ELBO of the validation rows and, where the run maximises it, the importance-weighted bound, in nats.

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
            draws = draw(model, hardware.rows(x[part]), noise[part], autocast=hardware.autocast())
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
