"""Mistakes of users end in one line and exit code 2, or in the behaviour that docs/reference/training.md promises.

More of each kind is tested where it belongs: test_datasets, test_tables, test_mapped, test_run, test_command_line.
"""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from server import artifact as contract
from server.engine import engine
from training.__main__ import main
from training.run.session import Session

DRAWS = np.random.default_rng(0)
QUICK = ["--preset", "tiny", "--epochs", "1", "--latent-size", "3", "--threads", "1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a command that must fail with 2 and export nothing."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert not Path("exported").exists()
    line = captured.err.strip().splitlines()[-1]
    assert line.startswith("error: ")
    return line


def fit_of(data: object, *more: object) -> tuple[object, ...]:
    return ("fit", *QUICK, "--data", data, "--out", "exported/x/1", *more)


def pictures(folder: Path, rows: np.ndarray) -> Path:
    folder.mkdir()
    for index, row in enumerate(rows):
        Image.fromarray(row).save(folder / f"{index:03}.png")
    return folder


def test_without_labels_everything_works_that_needs_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(here / "pictures", DRAWS.integers(0, 256, (30, 6, 6), np.uint8))
    assert main(list(map(str, fit_of(folder)))) == 0
    assert engine.load(contract.read(here / "exported" / "x" / "1")).manifest.item.shape == (1, 6, 6)


def test_one_image_is_too_few(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(here / "pictures", DRAWS.integers(0, 256, (1, 6, 6), np.uint8))
    assert "pictures: has 1 rows; training needs at least 20" in failure(capsys, *fit_of(folder))


def test_pixels_that_never_change_are_learned_as_certain(here: Path) -> None:
    rows = DRAWS.integers(0, 256, (60, 6, 6), np.uint8)
    rows[:, 0], rows[:, 5] = 0, 255
    np.save("rows.npy", rows)
    assert main(list(map(str, fit_of("rows.npy", "--epochs", 30)))) == 0
    loaded = engine.load(contract.read(Path("exported/x/1")))
    mean, _ = loaded.run("encoder", rows[:, None].astype(np.float32) / 255)
    decoded = loaded.run("decoder", mean)[0]
    assert np.isfinite(decoded).all()
    assert decoded[:, :, 0].max() < 0.02
    assert decoded[:, :, 5].min() > 0.98
    assert 0.2 < decoded[:, :, 1:5].mean() < 0.8


def test_images_of_different_sizes_are_refused_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(here / "pictures", DRAWS.integers(0, 256, (30, 6, 6), np.uint8))
    Image.new("L", (7, 6)).save(folder / "odd.png")
    line = failure(capsys, *fit_of(folder))
    assert "odd.png: is 7x6 pixels, 000.png is 6x6; bring all pictures to one size first" in line


def test_an_archive_larger_than_any_memory_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A small file whose header promises 140 TB, as an archive of zeros may."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**43, 4, 4)})
    with zipfile.ZipFile("rows.npz", "w") as archive:
        archive.writestr("train.npy", header.getvalue())
    assert "rows.npz: does not fit into this machine's memory; train on fewer rows" in failure(
        capsys, *fit_of("rows.npz")
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none_is_refused_before_data_are_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--device cuda: no usable NVIDIA GPU" in failure(capsys, *fit_of("nowhere.npy", "--device", "cuda"))
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "the GPU's memory is full; try a smaller"),
        (MemoryError(), "this machine's memory is full; try a smaller --batch-size or fewer rows"),
    ],
    ids=["GPU", "CPU"],
)
def test_a_full_memory_is_one_line_and_spares_the_checkpoint(
    error: Exception, says: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.run import step

    loss, calls = step.loss, []

    def full_in_the_second_epoch(*arguments: Any, **named: Any) -> step.Loss:
        calls.append(arguments)
        if len(calls) > 22 + 5:
            raise error
        return loss(*arguments, **named)

    monkeypatch.setattr(step, "loss", full_in_the_second_epoch)
    assert says in failure(capsys, *fit_of("digits", "--epochs", 2, "--run-dir", "run"))
    monkeypatch.setattr(step, "loss", loss)
    assert main(["fit", "--resume", "run"]) == 0
    assert len(Path("run/journal.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("damage", ["cut off", "one bit", "another file"])
@pytest.mark.parametrize("command", ["resume", "export"])
def test_a_corrupt_checkpoint_is_refused(
    damage: str, command: str, trained: Session, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(trained.run.checkpoint.read_bytes())
    if damage == "one bit":
        content[len(content) // 2] ^= 1  # a weight, a little different: nothing but its checksum knows
    Path("run").mkdir()
    if damage == "another file":
        torch.save(torch.zeros(3), "run/checkpoint.pt")
    else:
        Path("run/checkpoint.pt").write_bytes(content[: len(content) // (2 if damage == "cut off" else 1)])
    arguments = ("fit", "--resume", "run") if command == "resume" else ("export", "run", "--out", "exported/x/1")
    line = failure(capsys, *arguments)
    assert "run/checkpoint.pt: is damaged (" in line
    assert line.endswith("start a new run, or put back a copy of the file")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--epochs", "16"], "optimisation.epochs = 15, the command line says 16"),
        (["--lr", "0.1"], "optimisation.learning_rate = 0.002, the command line says 0.1"),
        (["--beta", "2"], "optimisation.beta = 1.0, the command line says 2.0"),
        (["--bound", "dreg", "--importance-draws", "4"], "optimisation.bound = elbo, the command line says dreg"),
        (["--gradient", "path"], "optimisation.gradient = total, the command line says path"),
        (["--train-on", "all"], "train_on = train, the command line says all"),
        (["--latent-size", "9"], "latent_size = 7, the command line says 9"),
        (["--likelihood", "gaussian"], "likelihood = bernoulli, the command line says gaussian"),
        (["--seed", "4"], "seed = 0, the command line says 4"),
        (["--free-bits", "0.1"], "free_bits is defined for KL(q, N(0, I))"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_another_configuration_cannot_resume_a_run(
    flags: list[str], says: str, trained: Session, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = trained.run.checkpoint.read_bytes()
    assert says in failure(capsys, "fit", "--resume", trained.run.path, *flags)
    assert trained.run.checkpoint.read_bytes() == before
