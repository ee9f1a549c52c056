"""The training loop: draw a minibatch, climb its ELBO, average the weights; validate and save once an epoch.

Where several processes train together (ranks.py) each runs this loop on its part of every minibatch; sums over the
minibatch are made in three places, and between them all states are equal.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from training.datasets import Dataset
from training.errors import TrainingError
from training.model.vae import Vae
from training.randomness import generator
from training.run.hardware import Hardware
from training.run.minibatches import Minibatches, observed
from training.run.progress import EpochDone, Event, Means, StepDone
from training.run.schedule import average_decay, kl_weight, learning_rate, objective
from training.run.state import Best, State, update_average
from training.run.step import bound, climb

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
    state.model.train()

    def speed() -> float:
        return (state.step - first) * batches.batch_size / max(clock() - started, 1e-9)

    while state.step < batches.total:
        if hardware.ranks.any(stopping()):
            save()
            return False
        epoch = state.step // batches.per_epoch + 1
        _step(state, batches, hardware)
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
            settings = config.optimisation
            observe(
                EpochDone(
                    step=state.step,
                    epoch=epoch,
                    epochs=epochs,
                    train=means,
                    validation=validation,
                    learning_rate=learning_rate(settings, step=state.step - 1, steps=batches.total),
                    kl_weight=kl_weight(settings, step=state.step - 1, steps=batches.total),
                    rows_per_second=rate,
                    best=best,
                    bound=weighted,
                )
            )
            save()
            started, first = clock(), state.step
    return True


def validate(model: Vae, dataset: Dataset, hardware: Hardware) -> tuple[Means, float | None]:
    """The ELBO of the validation rows and, where it is climbed, the importance-weighted bound; the noise is fixed."""
    config = model.config
    weighted = config.optimisation.bound != "elbo"
    draws = generator(0, "validation", device=hardware.device)
    sums = torch.zeros(4, dtype=torch.float64, device=hardware.device)
    with torch.inference_mode():
        for rows in torch.split(dataset.validation.rows, VALIDATION_ROWS):
            x = observed(rows.to(hardware.device), config, draws)
            shape = len(x), config.optimisation.importance_draws, config.latent_size
            noise = torch.randn(shape, generator=draws, device=hardware.device)
            part = hardware.ranks.part(len(x))
            drawn = model.drawn(hardware.rows(x[part]), noise[part], autocast=hardware.autocast())
            terms = model.parts(drawn)
            sums[:3] += _sums(terms.log_likelihood, terms.kl)
            if weighted:
                sums[3] += bound(model, drawn).sum(dtype=torch.float64)
    hardware.ranks.add([sums])
    return _means(sums[:3]), float(sums[3] / sums[2]) if weighted else None


def _step(state: State, batches: Minibatches, hardware: Hardware) -> None:
    settings = objective(state.model.config.optimisation, epoch=state.step // batches.per_epoch)
    batch = batches.at(state.step)
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(settings, step=state.step, steps=batches.total)
    weight_of_kl = kl_weight(settings, step=state.step, steps=batches.total)
    loss, terms = climb(state.model, batch, settings, kl_weight=weight_of_kl, hardware=hardware)
    state.optimiser.zero_grad(set_to_none=True)
    (loss * batch.weight).backward()  # type: ignore[no-untyped-call]  # torch
    hardware.ranks.add([weight.grad for weight in state.model.parameters() if weight.grad is not None])
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), settings.gradient_norm)
    state.optimiser.step()
    update_average(state, average_decay(settings, step=state.step))
    sums = _sums(terms.log_likelihood.detach(), terms.kl.detach())
    hardware.ranks.add([sums])
    state.sums += sums
    state.step += 1


def _sums(log_likelihood: Tensor, kl: Tensor) -> Tensor:
    count = log_likelihood.new_full((), len(log_likelihood), dtype=torch.float64)
    return torch.stack((log_likelihood.sum(dtype=torch.float64), kl.sum(dtype=torch.float64), count))


def _means(sums: Tensor) -> Means:
    log_likelihood, kl, rows = sums.tolist()
    return Means(elbo=(log_likelihood - kl) / rows, reconstruction=-log_likelihood / rows, kl=kl / rows)


def _require_finite(means: Means, step: int, epoch: int) -> None:
    if not math.isfinite(means.elbo):
        raise TrainingError(
            f"the loss is no longer a number at step {step}, epoch {epoch}; try a lower --lr, or --precision fp32"
        )
