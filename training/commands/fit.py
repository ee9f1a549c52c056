"""`python -m training fit`: train a model and export it."""

import os
import shlex
import signal
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console

from training import datasets
from training.atomic import require_free
from training.commands.export import export_run
from training.commands.introduction import introduce
from training.config.config import Bound, Config, Gradient, Optimisation, TrainOn
from training.config.presets import PRESETS
from training.config.resolve import PRIORS, require_same_settings, resolve
from training.errors import Interrupted, TrainingError
from training.export.export import require_version
from training.run import checkpoint, distributed, hardware, session
from training.run.display import Display
from training.run.distributed import Ranks
from training.run.folder import RunFolder, create, free_name
from training.run.interruption import catch_signals
from training.run.progress import Event
from training.run.session import Session
from training.run.tensorboard import recorder

FLAGS = {"lr": "learning_rate", "final_lr": "final_learning_rate"}  # settings whose flag has another name


@click.command(context_settings={"show_default": True})
@click.option("--preset", help=f"One of {', '.join(PRESETS)}.  [default: default]")
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="A TOML file with settings that override the preset's."
)
@click.option("--data", "source", help=f"One of: {datasets.source.ALLOWED}.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The artifact to export, exported/NAME/VERSION; must not exist."
)
@click.option(
    "--run-dir", type=click.Path(path_type=Path), help="Folder for checkpoint and journal.  [default: runs/...]"
)
@click.option("--resume", type=click.Path(path_type=Path), help="Continue the run in this folder.")
@click.option(
    "--start-from",
    type=click.Path(path_type=Path),
    help="Start a new run from the averaged weights of the run in this folder; it has no KL warm-up unless "
    "--kl-warmup or --config sets one.",
)
@click.option("--epochs", type=int, help="Passes over the training rows.")
@click.option("--batch-size", type=int, help="Rows per step.")
@click.option("--lr", type=float, help="Learning rate of the first step; it falls to --final-lr along half a cosine.")
@click.option("--final-lr", type=float, help="Learning rate of the last step.")
@click.option(
    "--bound",
    type=click.Choice(get_args(Bound)),
    help="The bound of log p(x) to maximise. iwae and dreg: the importance-weighted one, by two gradients.",
)
@click.option("--importance-draws", type=int, help="Draws of z per row and step, for iwae and dreg.")
@click.option(
    "--bound-fraction", type=float, help="Maximise --bound in this last fraction of the epochs, the ELBO before."
)
@click.option("--gradient", type=click.Choice(get_args(Gradient)), help="Gradient of the ELBO: total, or along z only.")
@click.option("--kl-warmup", type=float, help="Fraction of all steps during which the weight of KL rises from 0.")
@click.option("--beta", type=float, help="Weight of KL after warm-up.")
@click.option("--free-bits", type=float, help="KL per latent, in nats, below which training does not reduce it.")
@click.option(
    "--train-on",
    type=click.Choice(get_args(TrainOn)),
    help="all: train on the validation rows too, and export the last epoch instead of the best.",
)
@click.option("--latent-size", type=int, help="Dimensions of z.")
@click.option("--likelihood", type=click.Choice(["bernoulli", "gaussian"]), help="p(x | z).")
@click.option(
    "--sigma",
    type=float,
    help="Gaussian: a fixed sigma instead of a learned one, on the scale 0..1 for images and in standard deviations "
    "of a column for tables.",
)
@click.option("--prior", type=click.Choice([*PRIORS]), help="N(0, I), or a learned RealNVP.")
@click.option(
    "--tensorboard", is_flag=True, help="Write each epoch's figures for TensorBoard too, in the run's folder."
)
@click.option("--seed", type=int, help="Decides the initial weights, the order of the rows and every draw.")
@click.option("--device", type=click.Choice(get_args(hardware.Device)), default="auto")
@click.option("--precision", type=click.Choice(get_args(hardware.Precision)), default="auto")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; take fewer than cores on a shared machine.")
def fit(
    *,
    source: str | None,
    out: Path | None,
    run_dir: Path | None,
    resume: Path | None,
    start_from: Path | None,
    device: hardware.Device,
    precision: hardware.Precision,
    threads: int | None,
    tensorboard: bool,
    preset: str | None,
    file: Path | None,
    **given: Any,
) -> None:
    """Train a model and, with --out, export it.

    To train with N processes: torchrun --nproc-per-node N -m training fit ...
    """
    processes = distributed.read_ranks(os.environ)
    if out is not None:
        require_version(out)
        require_free(out)
    flags = _nested(given)
    if resume is not None:
        if run_dir is not None:
            raise TrainingError("--run-dir and --resume name two folders; drop --run-dir")
        if start_from is not None:
            raise TrainingError("--start-from begins a new run and --resume goes on with an old one; drop one of them")
        this = _resume(
            resume,
            source=source,
            preset=preset,
            file=file,
            flags=flags,
            device=device,
            precision=precision,
            threads=threads,
            processes=processes,
        )
    else:
        # The earlier run's latents are in use already; warm-up is for latents that are not yet.
        defaults = {} if start_from is None else {"optimisation": {"kl_warmup": 0.0}}
        config = resolve(name=preset, file=file, flags=flags, defaults=defaults)
        this = _begin(
            config,
            source=source,
            out=out,
            run_dir=run_dir,
            start_from=start_from,
            device=device,
            precision=precision,
            threads=threads,
            processes=processes,
        )
    console = Console(stderr=True, quiet=not processes.first)
    introduce(this, console)
    with (
        processes.connected(this.hardware.device),
        catch_signals() as interruption,
        Display(console) as display,
        recorder(this.run.path, epochs_done=this.epochs_done, wanted=tensorboard and processes.first) as scalars,
    ):

        def observe(event: Event) -> None:
            display(event)
            scalars(event)

        finished = this.fit(observe=observe, stopping=interruption.requested, clock=time.perf_counter)
    if not processes.first:
        return
    if not finished:
        launcher = "python" if processes.count == 1 else f"torchrun --nproc-per-node {processes.local_count}"
        again = f"{launcher} -m training fit " + shlex.join(
            [
                *("--resume", str(this.run.path)),
                *(() if out is None else ("--out", str(out))),
                *(() if device == "auto" else ("--device", device)),
                *(("--tensorboard",) if tensorboard else ()),
            ]
        )
        raise Interrupted(
            f"interrupted at step {this.state.step}; saved. To go on: {again}",
            signal=interruption.signal or signal.SIGTERM,  # None if only another process got a signal
        )
    if out is not None:
        _export(this, out)
    else:
        click.echo(f"trained: {this.run.path}; export it with: python -m training export {this.run.path} --out ...")


def _export(this: Session, out: Path) -> None:
    try:
        export_run(this.run, this.dataset, out)
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted while exporting, nothing was written at {out}; the run is complete. "
            f"To export it: python -m training export {this.run.path} --out {out}",
            signal=signal.SIGINT,
        ) from None


def _begin(
    config: Config,
    *,
    source: str | None,
    out: Path | None,
    run_dir: Path | None,
    start_from: Path | None,
    device: hardware.Device,
    precision: hardware.Precision,
    threads: int | None,
    processes: Ranks,
) -> Session:
    if source is None:
        raise TrainingError(f"--data is missing; allowed: {datasets.source.ALLOWED}")
    earlier = None if start_from is None else checkpoint.read(RunFolder(start_from).checkpoint)
    machine = hardware.choose(device, precision, config.architecture, threads=threads, ranks=processes)
    dataset = datasets.load(source, environment=os.environ)
    name = f"{out.parent.name}-{out.name}" if out is not None else f"{dataset.name}-{config.preset}"
    path = run_dir or free_name(Path("runs"), name)
    this = session.new(config, run=RunFolder(path), source=source, dataset=dataset, hardware=machine, earlier=earlier)
    if processes.first:
        create(path)
    return this


def _resume(
    folder: Path,
    *,
    source: str | None,
    preset: str | None,
    file: Path | None,
    flags: dict[str, Any],
    device: hardware.Device,
    precision: hardware.Precision,
    threads: int | None,
    processes: Ranks,
) -> Session:
    if file is not None:
        raise TrainingError("--resume goes on with the run's own settings; drop --config")
    run = RunFolder(folder)
    saved = checkpoint.read(run.checkpoint)
    require_same_settings(saved.config, flags if preset is None else {**flags, "preset": preset})
    was = saved.provenance["hardware"]
    as_many = was.get("processes", 1) == processes.count  # old checkpoints have no count: they were of one process
    machine = hardware.choose(
        device,
        was["precision"] if precision == "auto" else precision,
        saved.config.architecture,
        threads=threads or (was["threads"] if as_many else None),
        ranks=processes,
    )
    dataset = datasets.load(saved.source if source is None else source, environment=os.environ)
    return session.resume(saved, run=run, dataset=dataset, hardware=machine)


def _nested(given: dict[str, Any]) -> dict[str, Any]:
    """The flags that the user gave, nested like the fields of Config."""
    names = {field.name: field.name for field in fields(Optimisation)} | FLAGS
    flags = {name: value for name, value in given.items() if value is not None and name not in names}
    settings = {names[name]: value for name, value in given.items() if value is not None and name in names}
    return {**flags, "optimisation": settings} if settings else flags
