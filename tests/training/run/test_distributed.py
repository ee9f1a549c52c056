"""Several processes train as a single one would: the same minibatches and curve; only one prints, and none hangs."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from training.__main__ import main
from training.config.config import Config, ConvArchitecture
from training.datasets import Dataset
from training.errors import TrainingError
from training.run import distributed, folder, hardware, session, state
from training.run.distributed import ALONE, Ranks
from training.run.hardware import Hardware
from training.run.loop import validate
from training.run.minibatches import Minibatches

ROOT = Path(__file__).parents[3]
TRAIN = ["fit", "--preset", "tiny", "--data", "digits", "--threads", "1"]
# Sums of float32 in another order: the first epoch differs by 1e-8 nats, and steps repeat what they are given.
CURVE = 1e-4  # nats


def each_of(count: int) -> list[Ranks]:
    return [Ranks(rank=rank, count=count, local_rank=rank, local_count=count) for rank in range(count)]


@contextmanager
def together(processes: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`torchrun -m training ...` with its stderr as a pipe; its processes are gone afterwards."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m", "training"]
    with subprocess.Popen(
        [*command, *arguments], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as torchrun:
        try:
            yield torchrun
        finally:
            torchrun.terminate()


def of_rank(rank: int, torchrun: subprocess.Popen[str]) -> int:
    """The process id of a rank."""
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    return next(int(pid) for pid in children if f"\0RANK={rank}\0" in Path(f"/proc/{pid}/environ").read_text())


def curve(path: Path) -> list[float]:
    lines = [json.loads(line) for line in (path / "journal.jsonl").read_text().splitlines()]
    return [line[rows][part] for line in lines for rows in ("train", "validation") for part in ("elbo", "kl")]


@pytest.mark.parametrize("rows", [8, 3, 64, 1, 0])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_parts_of_a_minibatch_are_the_minibatch_and_about_equal(rows: int, count: int) -> None:
    parts = [list(range(rows))[rank.part(rows)] for rank in each_of(count)]
    assert [row for part in parts for row in part] == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_all_processes_together_see_exactly_what_one_process_would(
    quick: Config, digits: Dataset, cpu: Hardware
) -> None:
    whole = Minibatches(digits.train.rows, quick, cpu).at(30, draws=1)
    parts = [
        Minibatches(digits.train.rows, quick, dataclasses.replace(cpu, ranks=rank)).at(30, draws=1)
        for rank in each_of(3)
    ]
    assert torch.equal(whole.x, torch.cat([part.x for part in parts]))
    assert torch.equal(whole.noise, torch.cat([part.noise for part in parts]))
    assert [part.weight for part in parts] == [len(part.x) / 64 for part in parts]
    assert whole.weight == 1


def test_a_part_without_rows_adds_nothing(
    quick: Config, digits: Dataset, cpu: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last rows of a validation may be fewer than the processes."""
    monkeypatch.setattr(Ranks, "add", lambda self, tensors: None)
    few = dataclasses.replace(digits, validation=dataclasses.replace(digits.validation, rows=digits.train.rows[:501]))
    model = state.begin(quick, item_shape=(1, 8, 8), mean_item=digits.mean_item(), hardware=cpu).average
    first, second = (validate(model, few, dataclasses.replace(cpu, ranks=rank))[0] for rank in each_of(2))
    whole, _ = validate(model, few, cpu)
    assert whole.elbo == pytest.approx((250 * first.elbo + 251 * second.elbo) / 501)


def test_a_single_process_does_not_communicate() -> None:
    sums = torch.ones(3)
    ALONE.add([sums])
    assert sums.tolist() == [1, 1, 1]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    with ALONE.connected(torch.device("cpu")):
        assert not torch.distributed.is_initialized()


def test_a_process_reads_its_rank_from_the_variables_of_torchrun() -> None:
    assert distributed.read_ranks({"RANK": "3", "WORLD_SIZE": "4"}) == ALONE  # others set these too
    told = {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert distributed.read_ranks(told) == Ranks(rank=3, count=4, local_rank=1, local_count=2)


def test_processes_share_the_cores_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    try:
        chosen = hardware.choose("cpu", "fp32", ConvArchitecture(), ranks=each_of(4)[1])
        assert str(chosen) == "4 processes, each on CPU, 2 threads, fp32, channels last"
    finally:
        torch.set_num_threads(before)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(TrainingError, match="3 processes here share 2 GPUs and need one each"):
        hardware.choose("auto", "fp32", ConvArchitecture(), ranks=each_of(3)[0])


def test_more_processes_than_rows_are_refused(quick: Config, digits: Dataset, cpu: Hardware, tmp_path: Path) -> None:
    many = dataclasses.replace(cpu, ranks=each_of(65)[0])
    with pytest.raises(TrainingError, match="a minibatch of 64 rows cannot be shared by 65 processes"):
        session.new(quick, run=folder.RunFolder(tmp_path), source="digits", dataset=digits, hardware=many)


def test_two_processes_follow_the_curve_of_one_and_only_the_first_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "--epochs", "2", "--run-dir", "alone"]) == 0
    out = tmp_path / "exported" / "1"
    with together(2, *TRAIN, "--epochs", "2", "--run-dir", str(tmp_path / "both"), "--out", str(out)) as torchrun:
        said, shown = torchrun.communicate()
    assert torchrun.returncode == 0, shown
    assert said.count("exported ") == 1
    assert shown.count("epoch 2/2") == 1
    assert "machine   2 processes, each on CPU, 1 threads, fp32" in shown
    assert curve(tmp_path / "both") == pytest.approx(curve(tmp_path / "alone"), abs=CURVE)
    assert sorted(os.listdir(tmp_path / "both")) == ["checkpoint.pt", "journal.jsonl"]
    assert (out / "manifest.json").exists()


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(
    trained: session.Session, quick: Config, digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    """Stopped within an epoch by one, ended by two."""
    this = session.new(quick, run=folder.create(tmp_path / "run"), source="digits", dataset=digits, hardware=cpu)
    assert not this.fit(observe=lambda event: None, stopping=lambda: this.state.step == 300, clock=lambda: 0.0)
    with together(2, "fit", "--resume", str(this.run.path)) as torchrun:
        shown = torchrun.communicate()[1]
    assert torchrun.returncode == 0, shown
    assert curve(this.run.path) == pytest.approx(curve(trained.run.path), abs=CURVE)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_with_one_line_and_its_checkpoint_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with together(2, *TRAIN, "--epochs", "5000", "--run-dir", str(path)) as torchrun:
        assert torchrun.stderr is not None
        wait_for_an_epoch(torchrun)
        os.kill(of_rank(1, torchrun), signal.SIGKILL)
        shown = torchrun.stderr.read()
        assert torchrun.wait() == 1
    assert shown.count(f"error: {distributed.LOST}") == 1
    assert "training/run/distributed.py" not in shown  # no traceback of ours
    assert main(["export", str(path), "--out", str(tmp_path / "exported" / "1")]) == 0


@pytest.mark.slow
def test_control_c_saves_the_step_that_all_processes_reached(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with together(2, *TRAIN, "--epochs", "5000", "--run-dir", str(path)) as torchrun:
        assert torchrun.stderr is not None
        wait_for_an_epoch(torchrun)
        torchrun.send_signal(signal.SIGINT)
        shown = torchrun.stderr.read()
        torchrun.wait()
    saved = torch.load(path / "checkpoint.pt", weights_only=True)["state"]["step"]
    assert f"interrupted at step {saved}; saved. To go on: torchrun --nproc-per-node 2 -m training fit" in shown


def wait_for_an_epoch(torchrun: subprocess.Popen[str]) -> None:
    assert torchrun.stderr is not None
    for line in torchrun.stderr:
        if line.startswith("epoch"):
            return
    raise AssertionError("the run ended before its first epoch")
