"""`fit --tensorboard`, checked by TensorBoard's own reader."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from training.__main__ import main

FIT = ["fit", "--preset", "tiny", "--data", "digits", "--threads", "1", "--tensorboard"]


def read(folder: Path) -> Any:
    accumulator = importlib.import_module("tensorboard.backend.event_processing.event_accumulator").EventAccumulator
    return accumulator(str(folder)).Reload()


def test_every_epoch_is_written_as_the_journal_has_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main([*FIT, "--epochs", "2", "--run-dir", str(run)]) == 0
    journal = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    events = read(run / "tensorboard")
    found = events.Scalars("elbo/validation")
    assert [event.step for event in found] == [1, 2]
    assert [event.value for event in found] == pytest.approx(
        [epoch["validation"]["elbo"] for epoch in journal], rel=1e-6
    )
    assert {"kl/train", "reconstruction/train", "schedule/learning_rate", "speed/rows_per_second"} < set(
        events.Tags()["scalars"]
    )


def test_without_the_package_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main([*FIT, "--run-dir", str(tmp_path / "run")]) == 2
    assert "pip install 'vaeserve[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
