"""State: everything that a training step changes and a checkpoint saves."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.config.config import Config
from training.errors import TrainingError
from training.model.vae import Vae, initialise
from training.randomness import generator
from training.run.hardware import Hardware


@dataclass(frozen=True, slots=True)
class Best:
    """The averaged weights with the highest bound on the validation rows."""

    epoch: int
    bound: float  # the bound that the run maximises, ELBO or importance-weighted, in nats
    weights: dict[str, Tensor]


@dataclass(slots=True)
class State:
    """The state of a run between two steps."""

    model: Vae
    average: Vae  # the model with the moving average of the weights, which is validated and exported
    optimiser: torch.optim.AdamW
    step: int  # the number of steps done
    sums: Tensor  # float64 [3] on the device: log-likelihood, KL and rows of this epoch so far
    best: Best | None


def begin(
    config: Config,
    *,
    item_shape: tuple[int, ...],
    mean_item: Tensor,
    deviation: Tensor | None = None,
    hardware: Hardware,
) -> State:
    """The state before step 0. For `mean_item` and `deviation` see vae.initialise. Raises as Vae does."""
    model = Vae(config, item_shape)
    initialise(model, mean_item=mean_item, deviation=deviation, generator=generator(config.seed, "weights"))
    model.to(hardware.device)
    if hardware.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    average = copy.deepcopy(model).requires_grad_(False)
    settings = config.optimisation
    optimiser = torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay),
        lr=settings.learning_rate,
        betas=(settings.betas[0], settings.betas[1]),
        fused=True,
    )
    return State(model, average, optimiser, 0, torch.zeros(3, dtype=torch.float64, device=hardware.device), None)


def parameter_groups(model: Vae, weight_decay: float) -> list[dict[str, Any]]:
    """The optimiser's two groups: the layers' weights, which decay, and the biases and log_sigma, which do not.

    The decoder's bias per pixel must not decay either: 0 would be a grey pixel.
    """
    layers = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    decaying = [module.weight for module in model.modules() if isinstance(module, layers)]
    known = set(map(id, decaying))
    others = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in known]
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def copy_weights(state: State, model: Vae) -> None:
    """Replace the initial weights (and a table's units) by those of `model`."""
    state.model.load_state_dict(model.state_dict())
    state.average.load_state_dict(model.state_dict())


def to_mapping(state: State) -> dict[str, Any]:
    """Tensors and plain values, for torch.save."""
    return {
        "model": state.model.state_dict(),
        "average": state.average.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "step": state.step,
        "sums": state.sums,
        "best": None
        if state.best is None
        else {"epoch": state.best.epoch, "bound": state.best.bound, "weights": state.best.weights},
    }


def restore(state: State, facts: dict[str, Any]) -> None:
    """Load what `to_mapping` returned into a new state of the same configuration.

    Raises TrainingError if it was written by a version of training that had other groups of parameters.
    """
    if len(facts["optimiser"]["param_groups"]) != len(state.optimiser.param_groups):
        raise TrainingError(
            "the run was started by another version of training, whose optimiser state this one cannot read; "
            "export it as it is, or start a new run"
        )
    state.model.load_state_dict(facts["model"])
    state.average.load_state_dict(facts["average"])
    state.optimiser.load_state_dict(facts["optimiser"])
    state.step = int(facts["step"])
    state.sums.copy_(facts["sums"])
    best = facts["best"]
    state.best = None if best is None else Best(best["epoch"], best["bound"], best["weights"])
