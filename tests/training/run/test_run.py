"""A run is reproducible, resumes bit for bit, is saved atomically, and ends if the loss is no longer a number."""

import dataclasses
import errno
import json
import os
from pathlib import Path

import pytest
import torch

from training.config.config import Config, FlowPrior
from training.config.resolve import resolve
from training.datasets import Dataset
from training.errors import TrainingError
from training.run import checkpoint, folder, session
from training.run.hardware import Hardware
from training.run.progress import EpochDone, Event
from training.run.session import Session


def new(config: Config, path: Path, dataset: Dataset, hardware: Hardware, *, earlier: Session | None = None) -> Session:
    return session.new(
        config,
        run=folder.create(path),
        source="digits",
        dataset=dataset,
        hardware=hardware,
        earlier=None if earlier is None else checkpoint.read(earlier.run.checkpoint),
    )


def fit(this: Session, *, stop_at: int | None = None) -> list[Event]:
    """Train on, to the end or to a step; what was reported."""
    events: list[Event] = []
    reached = this.fit(observe=events.append, stopping=lambda: this.state.step == stop_at, clock=lambda: 0.0)
    assert reached == (stop_at is None)
    return events


def weights(this: Session) -> dict[str, torch.Tensor]:
    return this.state.model.state_dict() | {f"average.{k}": v for k, v in this.state.average.state_dict().items()}


def same(one: Session, other: Session) -> bool:
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def journal(this: Session) -> list[dict[str, object]]:
    """Its lines, but for the speed, which is the machine's."""
    lines = [json.loads(line) for line in this.run.journal.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "rows_per_second"} for line in lines]


@pytest.fixture(scope="module")
def brief(quick: Config) -> Config:
    """`quick` with three epochs of 22 steps: enough for what must be equal bit for bit."""
    return dataclasses.replace(quick, optimisation=dataclasses.replace(quick.optimisation, epochs=3))


@pytest.fixture(scope="module")
def uninterrupted(brief: Config, digits: Dataset, cpu: Hardware, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A finished run of `brief`; do not train it on."""
    this = new(brief, tmp_path_factory.mktemp("runs") / "brief", digits, cpu)
    fit(this)
    return this


def test_a_seed_makes_a_run_repeatable(
    uninterrupted: Session, brief: Config, digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    torch.rand(10)  # other draws of the process must not matter
    again = new(brief, tmp_path / "again", digits, cpu)
    fit(again)
    assert same(again, uninterrupted)
    assert journal(again) == journal(uninterrupted)


def test_another_seed_is_another_run(quick: Config, digits: Dataset, cpu: Hardware, tmp_path: Path) -> None:
    one = new(quick, tmp_path / "0", digits, cpu)
    other = new(dataclasses.replace(quick, seed=1), tmp_path / "1", digits, cpu)
    assert not same(one, other)


@pytest.mark.parametrize("stop_at", [30, 44], ids=["within an epoch", "at its end"])
def test_a_resumed_run_ends_bit_for_bit_where_an_uninterrupted_one_does(
    stop_at: int, uninterrupted: Session, brief: Config, digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    first = new(brief, tmp_path / "run", digits, cpu)
    fit(first, stop_at=stop_at)
    saved = checkpoint.read(first.run.checkpoint)
    second = session.resume(saved, run=first.run, dataset=digits, hardware=cpu)
    assert second.state.step == stop_at
    fit(second)
    assert same(second, uninterrupted)
    assert journal(second) == journal(uninterrupted)
    assert second.state.best is not None
    assert uninterrupted.state.best is not None
    assert second.state.best.bound == uninterrupted.state.best.bound


def test_convolutions_in_bf16_resume_bit_for_bit_too(digits: Dataset, cpu: Hardware, tmp_path: Path) -> None:
    config = resolve(
        name="default",
        file=None,
        flags={
            "architecture": {"widths": [4, 8], "hidden": 16},
            "latent_size": 4,
            "prior": {"couplings": 2, "hidden": 8},
            "optimisation": {"epochs": 2},
        },
    )
    fast = dataclasses.replace(cpu, precision="bf16", channels_last=True)
    whole = new(config, tmp_path / "whole", digits, fast)
    events = fit(whole)
    assert isinstance(events[-1], EpochDone)
    assert events[-1].validation.elbo > -40  # of 64 pixels: -44 is a coin a pixel
    parts = new(config, tmp_path / "parts", digits, fast)
    fit(parts, stop_at=13)
    resumed = session.resume(checkpoint.read(parts.run.checkpoint), run=parts.run, dataset=digits, hardware=fast)
    fit(resumed)
    assert same(resumed, whole)


def test_the_journal_forgets_what_a_resumed_run_will_do_again(tmp_path: Path) -> None:
    this = folder.create(tmp_path / "run")
    this.journal.write_text('{"step": 11}\n{"step": 22}\n{"step": 33}\n{"st')
    this.drop_after(22)
    assert this.journal.read_text() == '{"step": 11}\n{"step": 22}\n'


def test_a_run_can_start_from_the_averaged_weights_of_an_earlier_one(
    trained: Session, quick: Config, digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        quick, seed=5, optimisation=dataclasses.replace(quick.optimisation, epochs=1, kl_warmup=0.0)
    )
    later = new(config, tmp_path / "later", digits, cpu, earlier=trained)
    averaged, done = session.trained_model(checkpoint.read(trained.run.checkpoint))
    assert all(
        torch.equal(value, later.state.model.state_dict()[name]) for name, value in averaged.state_dict().items()
    )
    assert later.provenance["started_from"] == {**trained.provenance, **done}
    epoch = fit(later)[-1]
    assert isinstance(epoch, EpochDone)
    assert trained.state.best is not None
    # One epoch from random weights ends below -27; the tolerance is what a fresh optimiser may lose at first.
    assert epoch.validation.elbo > trained.state.best.bound - 0.5
    resumed = session.resume(checkpoint.read(later.run.checkpoint), run=later.run, dataset=digits, hardware=cpu)
    assert resumed.provenance == later.provenance


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"latent_size": 6}, r"--start-from: that run, of --preset tiny, has latent_size = 7, this one 6"),
        ({"prior": FlowPrior(couplings=2, hidden=17)}, r"has prior.hidden = 16, this one 17"),
        ({"likelihood": "gaussian"}, r"has likelihood = bernoulli, this one gaussian"),
    ],
)
def test_weights_of_another_network_are_refused_as_a_start(
    change: dict[str, object],
    says: str,
    trained: Session,
    quick: Config,
    digits: Dataset,
    cpu: Hardware,
    tmp_path: Path,
) -> None:
    config = dataclasses.replace(quick, **change)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=says):
        new(config, tmp_path / "later", digits, cpu, earlier=trained)


def test_weights_trained_on_the_validation_rows_start_no_run_that_validates_on_them(
    quick: Config, digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    one_epoch = dataclasses.replace(quick, optimisation=dataclasses.replace(quick.optimisation, epochs=1))
    everything = dataclasses.replace(one_epoch, train_on="all")
    first = new(everything, tmp_path / "first", digits, cpu)
    fit(first)
    second = new(everything, tmp_path / "second", digits, cpu, earlier=first)
    fit(second)
    for earlier in (first, second):
        with pytest.raises(TrainingError, match=r"trained on the validation rows of these data.*give --train-on all"):
            new(one_epoch, tmp_path / "third", digits, cpu, earlier=earlier)


def test_training_learns(digits: Dataset, cpu: Hardware, tmp_path: Path) -> None:
    """From its first epoch to its twenty-fifth the validation ELBO rises by at least 2 nats, of about 27."""
    config = resolve(name="tiny", file=None, flags={"optimisation": {"epochs": 25}})
    epochs = [event for event in fit(new(config, tmp_path / "run", digits, cpu)) if isinstance(event, EpochDone)]
    assert epochs[-1].validation.elbo > epochs[0].validation.elbo + 2.0
    assert epochs[-1].validation.kl > 1.0  # latents are used: the posterior has not collapsed
    assert epochs[-1].validation.elbo > -25.5


def test_a_gaussian_learns_its_sigma(digits: Dataset, cpu: Hardware, tmp_path: Path) -> None:
    config = resolve(name="tiny", file=None, flags={"likelihood": "gaussian", "optimisation": {"epochs": 12}})
    this = new(config, tmp_path / "run", digits, cpu)
    epochs = [event for event in fit(this) if isinstance(event, EpochDone)]
    assert epochs[-1].validation.elbo > epochs[0].validation.elbo + 5.0
    assert this.state.average.sigma is not None
    assert 0.1 < this.state.average.sigma < 0.28  # 0.3 at the start; the digits' own deviation is 0.38


def test_the_best_epoch_is_kept_not_the_last(trained: Session) -> None:
    assert trained.state.best is not None
    elbos = [line["validation"]["elbo"] for line in journal(trained)]  # type: ignore[index]
    assert trained.state.best.bound == max(elbos)
    assert trained.state.best.epoch == elbos.index(max(elbos)) + 1


def test_progress_is_reported_with_its_parts(trained: Session, digits: Dataset) -> None:
    last = journal(trained)[-1]
    for part in ("train", "validation"):
        means = last[part]
        assert isinstance(means, dict)
        assert means["elbo"] == pytest.approx(-means["reconstruction"] - means["kl"])
    assert last["step"] == 15 * (len(digits.train) // 64)


def test_a_loss_that_is_no_number_ends_the_run_and_spares_its_checkpoint(
    quick: Config, digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    this = new(quick, tmp_path / "run", digits, cpu)
    fit(this, stop_at=22)
    before = this.run.checkpoint.read_bytes()
    with torch.no_grad():
        this.state.model.decoder.bias.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(TrainingError, match=r"no longer a number at step \d+, epoch 2; try a lower --lr"):
        fit(this)
    assert this.run.checkpoint.read_bytes() == before


def test_a_full_disk_leaves_the_old_checkpoint_and_names_the_file(
    quick: Config, digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    this = new(quick, tmp_path / "run", digits, cpu)
    this.save()
    before = this.run.checkpoint.read_bytes()
    (this.run.path / ".checkpoint.pt.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        this.save()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(this.run.checkpoint)
    assert this.run.checkpoint.read_bytes() == before
    assert sorted(os.listdir(this.run.path)) == ["checkpoint.pt"]


@pytest.mark.parametrize("damage", [b"", b"junk", None], ids=["empty", "junk", "truncated"])
def test_a_damaged_checkpoint_is_refused(damage: bytes | None, trained: Session, tmp_path: Path) -> None:
    content = trained.run.checkpoint.read_bytes()
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(TrainingError, match=r"checkpoint.pt: is damaged .*; start a new run"):
        checkpoint.read(file)


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    torch.save({"format_version": 99}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="format_version is 99; this version of training reads 1"):
        checkpoint.read(tmp_path / "checkpoint.pt")


def test_a_checkpoint_that_lacks_something_is_refused(tmp_path: Path) -> None:
    torch.save({"format_version": checkpoint.FORMAT_VERSION}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match=r"checkpoint.pt: is damaged \(KeyError\); start a new run"):
        checkpoint.read(tmp_path / "checkpoint.pt")


def test_other_data_or_precision_cannot_continue_a_run(trained: Session, digits: Dataset, cpu: Hardware) -> None:
    saved = checkpoint.read(trained.run.checkpoint)
    with pytest.raises(TrainingError, match=r"the run was trained on .*; give the same --data"):
        session.resume(saved, run=trained.run, dataset=dataclasses.replace(digits, sha256="0" * 64), hardware=cpu)
    with pytest.raises(TrainingError, match="the run was trained in fp32; use --precision fp32"):
        session.resume(saved, run=trained.run, dataset=digits, hardware=dataclasses.replace(cpu, precision="bf16"))


def test_a_folder_holds_one_run(trained: Session) -> None:
    with pytest.raises(TrainingError, match=r"holds a run already; continue it with --resume"):
        folder.create(trained.run.path)
