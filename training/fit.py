"""The training loop: draw a minibatch, climb its ELBO, average the weights; validate and save once an epoch."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from training.datasets import Dataset
from training.errors import TrainingError
from training.hardware import Hardware
from training.minibatches import Minibatches, observed
from training.model import Vae
from training.objective import minibatch_loss
from training.progress import EpochDone, Event, Means, Stepped
from training.randomness import generator
from training.schedule import average_decay, kl_weight, learning_rate
from training.state import Best, State, update_average

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
    """Move `state` to the end of its run; True if it got there, False if `stopping` said so first.

    `save` is called after every epoch and when stopping. Raises TrainingError when the loss is no longer a number;
    `save` has then not been called with it.
    """
    config = state.model.config
    batches = Minibatches(dataset.train.rows.to(hardware.device), config, hardware)
    epochs = config.optimisation.epochs
    started, first = clock(), state.step  # of this epoch
    state.model.train()

    def speed() -> float:
        return (state.step - first) * batches.batch_size / max(clock() - started, 1e-9)

    while state.step < batches.total:
        if stopping():
            save()
            return False
        epoch = state.step // batches.per_epoch + 1
        _step(state, batches, hardware)
        ended = state.step % batches.per_epoch == 0
        if ended or state.step % REPORT_EVERY == 0:
            means = _means(state.sums)
            _require_finite(means, state.step, epoch)
            observe(Stepped(state.step, batches.total, epoch, epochs, means, speed()))
        if ended:
            rate = speed()  # before validation, which is not training
            validation = validate(state.average, dataset, hardware)
            _require_finite(validation, state.step, epoch)
            best = state.best is None or validation.elbo > state.best.elbo
            if best:
                weights = {name: value.clone() for name, value in state.average.state_dict().items()}
                state.best = Best(epoch, validation.elbo, weights)
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
                    images_per_second=rate,
                    best=best,
                )
            )
            save()
            started, first = clock(), state.step
    return True


def validate(model: Vae, dataset: Dataset, hardware: Hardware) -> Means:
    """The ELBO of the validation rows, with the same binarisation and noise every time."""
    config = model.config
    draws = generator(0, "validation", device=hardware.device)
    sums = torch.zeros(3, dtype=torch.float64, device=hardware.device)
    with torch.inference_mode():
        for rows in torch.split(dataset.validation.rows, VALIDATION_ROWS):
            x = hardware.rows(observed(rows.to(hardware.device), config, draws))
            noise = torch.randn(len(x), config.latent_size, generator=draws, device=hardware.device)
            terms = model.terms(x, noise, autocast=hardware.autocast())
            sums += _sums(terms.log_likelihood, terms.kl)
    return _means(sums)


def _step(state: State, batches: Minibatches, hardware: Hardware) -> None:
    settings = state.model.config.optimisation
    batch = batches.at(state.step)
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(settings, step=state.step, steps=batches.total)
    terms = state.model.terms(batch.x, batch.noise, autocast=hardware.autocast())
    loss = minibatch_loss(terms, kl_weight(settings, step=state.step, steps=batches.total))
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), settings.gradient_norm)
    state.optimiser.step()
    update_average(state, average_decay(settings, step=state.step))
    state.sums += _sums(terms.log_likelihood.detach(), terms.kl.detach())
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
