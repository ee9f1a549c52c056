"""`python -m training`: its output, the files it writes, and its errors."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.__main__ import main
from training.run import checkpoint
from training.run.session import Session

ROOT = Path(__file__).parents[2]
QUICK = ["--preset", "tiny", "--data", "digits", "--epochs", "1", "--latent-size", "3"]
READERS = [  # of an artifact, which is the first of what follows them
    ("evaluate", "--data", "digits"),
    ("samples", "--data", "digits", "--classifier", "c.pt"),
    ("record", "--out", "exported/x/1"),
    ("convert", "--out", "exported/x/1", "--precision", "fp16"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a command that must fail with 2."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    return lines[-1]


def test_fit_trains_and_exports_what_evaluate_measures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *QUICK, "--out", "exported/digits/1"]) == 0
    out, err = capsys.readouterr()
    assert "exported exported/digits/1: validation ELBO -" in out
    assert "digits: 1,437 train" in err
    assert "epoch 1/1  train ELBO" in err
    assert sorted(os.listdir(here / "runs" / "digits-1-1")) == ["checkpoint.pt", "journal.jsonl"]
    assert os.listdir(here / "exported" / "digits") == ["1"]

    arguments = ["evaluate", "exported/digits/1", "--data", "digits", "--importance-samples", "5", "--rows", "20"]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["samples"], result["split"], result["latent_size"]) == (20, 5, "test", 3)
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert f"{result['nll']['mean']:.3f} ± {result['nll']['standard_error']:.3f}" in table

    assert main(["export", "runs/digits-1-1", "--out", "exported/digits/2"]) == 0
    one, two = (here / "exported" / "digits" / version / "SHA256SUMS" for version in "12")
    assert one.read_bytes() == two.read_bytes()
    capsys.readouterr()
    assert "exists already" in failure(capsys, "export", "runs/digits-1-1", "--out", "exported/digits/2")


def test_without_out_fit_says_how_to_export(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *QUICK]) == 0
    assert "export it with: python -m training export runs/digits-tiny-1 --out" in capsys.readouterr().out


def test_bad_flags_end_in_one_line_and_exit_code_2(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "preset 'huge'; allowed: default, tiny, seed, quality" in failure(capsys, "fit", "--preset", "huge")
    assert "--data is missing; allowed: digits" in failure(capsys, "fit")
    assert "no such file or folder" in failure(capsys, "fit", "--data", "nowhere")
    assert "epochs is 0; it must be at least 1" in failure(capsys, "fit", "--data", "digits", "--epochs", 0)
    assert "learning_rate is 7.0" in failure(capsys, "fit", "--data", "digits", "--lr", 7)
    assert "'many' is not a valid integer" in failure(capsys, "fit", "--epochs", "many")
    assert "No such option" in failure(capsys, "fit", "--speed", "3")
    assert "cannot use missing.toml: No such file" in failure(capsys, "fit", "--config", "missing.toml")
    assert "missing: has no checkpoint.pt" in failure(capsys, "fit", "--resume", "missing")
    assert "missing: has no checkpoint.pt" in failure(capsys, "export", "missing", "--out", "x/1")
    for command in (("fit", "--data", "digits"), ("export", "missing")):
        assert "a whole number: exported/NAME/1" in failure(capsys, *command, "--out", "exported/mnist")
    for command in READERS:
        assert "missing: no such artifact; give a folder" in failure(capsys, command[0], "missing", *command[1:])
    assert os.listdir(here) == []


@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
def test_a_folder_that_is_no_artifact_is_named(
    command: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "runs" / "quick").mkdir(parents=True)
    message = failure(capsys, command[0], "runs/quick", *command[1:])
    assert message == "error: runs/quick: manifest.json: cannot be read: No such file or directory"
    assert os.listdir(here) == ["runs"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(capsys, "fit", "--data", "digits", "--device", "cuda", "--out", "exported/x/1")
    assert "--device cuda: no usable NVIDIA GPU or CUDA build of torch here; use --device cpu or auto" in message
    assert os.listdir(here) == []


def test_an_existing_out_is_refused_before_training(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "1").mkdir()
    assert "exists already; versions are never overwritten" in failure(capsys, "fit", *QUICK, "--out", "1")
    assert os.listdir(here) == ["1"]


def test_bad_data_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("rows.npy", np.zeros((30, 4, 4), np.uint8))
    message = failure(capsys, "fit", "--data", "rows.npy", "--out", "exported/x/1")
    assert "rows: every value of every row is 0; there is nothing to learn" in message
    assert os.listdir(here) == ["rows.npy"]


def test_a_full_disk_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "run").mkdir()
    (here / "run" / ".checkpoint.pt.partial").symlink_to("/dev/full")
    message = failure(capsys, "fit", *QUICK, "--run-dir", "run", "--out", "exported/x/1")
    assert "the disk is full: cannot write run/checkpoint.pt; free some space" in message
    assert not (here / "exported").exists()


def test_a_loss_that_is_no_number_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.run import step

    def no_number(*arguments: Any, **named: Any) -> step.Loss:
        value, terms = loss(*arguments, **named)
        return step.Loss(value * float("nan"), terms)

    loss = step.loss
    monkeypatch.setattr(step, "loss", no_number)
    message = failure(capsys, "fit", *QUICK, "--run-dir", "run", "--out", "exported/x/1")
    assert "the loss is no longer a number at step 20, epoch 1; try a lower --lr, or --precision fp32" in message
    assert not (here / "exported").exists()


def test_full_memory_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.run import step

    monkeypatch.setattr(step, "loss", lambda *arguments, **named: torch.empty(2**60))
    message = failure(capsys, "fit", *QUICK, "--run-dir", "run")
    assert "this machine's memory is full; try a smaller --batch-size or fewer rows" in message


def test_an_interrupted_export_says_how_to_repeat_it(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.export import export

    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "_fill", interrupted)
    assert main(["fit", *QUICK, "--run-dir", "run", "--out", "exported/x/1"]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert "To export it: python -m training export run --out exported/x/1" in last
    assert not (here / "exported").exists()


def test_resume_refuses_what_would_make_another_run(
    here: Path, trained: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    resume = ("fit", "--resume", trained.run.path)
    assert "has optimisation.epochs = 15, the command line says 9" in failure(capsys, *resume, "--epochs", 9)
    assert "has preset = tiny, the command line says seed" in failure(capsys, *resume, "--preset", "seed")
    assert "has prior.kind" not in failure(capsys, *resume, "--prior", "normal")
    assert "drop --config" in failure(capsys, *resume, "--config", "x.toml")
    assert "drop --run-dir" in failure(capsys, *resume, "--run-dir", "x")
    assert "drop one of them" in failure(capsys, *resume, "--start-from", "x")
    assert "was trained in fp32; use --precision fp32" in failure(capsys, *resume, "--precision", "bf16")
    np.save("rows.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8))
    assert "give the same --data" in failure(capsys, *resume, "--data", "rows.npy")
    for command in (resume, ("export", trained.run.path, "--out", "exported/x/1"), ("report", trained.run.path)):
        assert "--data is empty" in failure(capsys, *command, "--data", "")


def test_a_new_run_starts_from_the_weights_of_a_run_and_its_card_says_so(
    here: Path, trained: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "same.toml").write_text(
        'preset = "tiny"\nlatent_size = 7\n[prior]\ncouplings = 2\nhidden = 16\n[optimisation]\nepochs = 1\n'
    )
    fit = ("fit", "--data", "digits", "--config", str(tmp_path / "same.toml"), "--start-from")
    assert "missing: has no checkpoint.pt" in failure(capsys, *fit, "missing")
    other = failure(capsys, *fit, str(trained.run.path), "--latent-size", 6)
    assert "--start-from: that run, of --preset tiny, has latent_size = 7, this one 6; give the same" in other
    assert not Path("runs").exists()  # nothing is left of a run that could not begin
    assert main([*fit, str(trained.run.path), "--seed", "3", "--out", "exported/x/1"]) == 0
    assert (
        "began with the averaged weights of a run of preset tiny, seed 0, 15 epochs of digits"
        in capsys.readouterr().err
    )
    card = Path("exported/x/1/MODEL_CARD.md").read_text()
    assert "It began with the averaged weights of a run of preset tiny, seed 0, 15 epochs of digits." in card
    manifest = json.loads(Path("exported/x/1/manifest.json").read_text())
    assert manifest["provenance"]["config"]["optimisation"]["kl_warmup"] == 0
    assert main([*fit, str(trained.run.path), "--kl-warmup", "0.5", "--final-lr", "0", "--run-dir", "warm"]) == 0
    settings = checkpoint.read(Path("warm/checkpoint.pt")).config.optimisation
    assert (settings.kl_warmup, settings.final_learning_rate) == (0.5, 0)


def test_control_c_saves_and_says_how_to_go_on(here: Path) -> None:
    command = [sys.executable, "-m", "training", "fit", "--preset", "tiny", "--data", "digits", "--threads", "1"]
    command += ["--epochs", "2000", "--run-dir", str(here / "a run"), "--out", str(here / "exported" / "1")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 130
    assert f"saved. To go on: python -m training fit --resume '{here / 'a run'}' --out" in rest
    assert "Traceback" not in rest
    assert not (here / "exported").exists()
    assert main(["export", str(here / "a run"), "--out", str(here / "exported" / "1")]) == 0
