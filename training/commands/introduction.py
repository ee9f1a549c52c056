"""The lines that `fit` prints about a run before its first step."""

from rich.console import Console

from training.config.config import Config, FlowPrior
from training.export.export import decode_macs
from training.run import warm_start
from training.run.schedule import bound_epochs
from training.run.session import Session


def introduce(this: Session, console: Console) -> None:
    """Print data, model, objective, machine and run of a session, one line each."""
    config, dataset = this.config, this.dataset
    rows = ", ".join(f"{count:,} {name}" for name, count in dataset.counts.items())
    shape = " x ".join(map(str, dataset.item_shape)) if dataset.kind == "image" else f"{dataset.item_shape[0]} columns"
    prior = f"RealNVP of {config.prior.couplings}" if isinstance(config.prior, FlowPrior) else "N(0, I)"
    origin = warm_start.origin(this.provenance)
    start = "" if origin is None else f"; began with {origin}"
    for line in (
        f"data      {dataset.name}: {rows}; items {shape}; validation: {dataset.protocol}",
        f"model     {config.preset}: {this.state.model.parameters_count:,} parameters, "
        f"{decode_macs(this.state.average) / 1e6:.2f} million multiply-adds a decode, "
        f"{config.latent_size} latents, prior {prior}, {config.likelihood} likelihood",
        f"maximises {_objective(config)}",
        f"machine   {this.hardware}",
        f"run       {this.run.path}, from step {this.state.step}, seed {config.seed}{start}",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _objective(config: Config) -> str:
    """What the run maximises, in words."""
    settings, draws = config.optimisation, config.optimisation.importance_draws
    elbo = "ELBO" + (", gradient along the path" if settings.gradient == "path" else "")
    weighted = f"importance-weighted bound of {draws} draws" + (", DReG" if settings.bound == "dreg" else "")
    if settings.bound == "elbo":
        what = elbo
    elif settings.bound_fraction == 1:
        what = weighted
    else:
        what = f"{elbo}; in the last {bound_epochs(settings)} epochs {weighted}"
    beta = f", beta {settings.beta:g}" if settings.beta != 1 else ""
    free = f", {settings.free_bits:g} nats free per latent" if settings.free_bits else ""
    rows = "; trains on the validation rows too, and exports the last epoch" if config.train_on == "all" else ""
    return what + beta + free + rows
