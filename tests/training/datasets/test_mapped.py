"""A .npy file too large for memory stays on the disk, and is trained on like any other data."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training import memory
from training.config.config import Config
from training.datasets import Dataset, dataset, load, source
from training.errors import TrainingError
from training.run import folder, session
from training.run.hardware import Hardware
from training.run.minibatches import Minibatches
from training.run.progress import EpochDone, Event

ROWS = np.random.default_rng(0).integers(0, 256, (90, 8, 6), dtype=np.uint8)


def mapped(path: Path, array: np.ndarray = ROWS) -> Dataset:
    np.save(path / "rows.npy", array)
    return load(str(path / "rows.npy"), environment={}, map_from=1000)


def in_memory(found: Dataset) -> Dataset:
    """The same splits, copied."""
    train, validation = (dataset.Split(split.rows.clone()) for split in (found.train, found.validation))
    return dataset.assemble(dataset.Source(found.name, train, validation))


def test_a_mapped_file_is_not_copied(tmp_path: Path) -> None:
    found = mapped(tmp_path)
    assert found.counts == {"train": 81, "validation": 9}
    assert found.protocol == "the last 9 training rows"
    assert found.validation.rows.data_ptr() == found.train.rows.data_ptr() + 81 * 48  # one view beside the other
    np.testing.assert_array_equal(found.train.rows[:, 0], ROWS[:81])
    np.testing.assert_array_equal(found.validation.rows[:, 0], ROWS[81:])


@pytest.mark.parametrize("array", [ROWS, np.stack([ROWS] * 3, axis=3)], ids=np.shape)
def test_training_on_all_rows_of_a_mapped_file_needs_no_copy(array: np.ndarray, tmp_path: Path) -> None:
    found = mapped(tmp_path, array)
    rows = found.rows("all")
    assert rows.data_ptr() == found.train.rows.data_ptr()
    assert torch.equal(rows, torch.cat((found.train.rows, found.validation.rows)))


@pytest.mark.parametrize("array", [ROWS, np.stack([ROWS] * 3, axis=3), np.stack([ROWS] * 3, axis=1)], ids=np.shape)
def test_the_statistics_of_a_mapped_file_are_those_of_its_rows_in_memory(
    array: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are computed from pieces of seven rows or fewer."""
    found = mapped(tmp_path, array)
    copied = in_memory(found)
    whole = (copied.sha256, copied.static, copied.mean_item().tolist())
    monkeypatch.setattr(dataset, "PIECE", 7 * 48)
    found = mapped(tmp_path, array)
    assert (found.sha256, found.static, found.mean_item().tolist()) == whole
    assert copied.mean_item().tolist() == copied.train.rows.double().mean(0).div(255).float().tolist()


def test_the_minibatches_of_a_mapped_file_are_those_of_its_rows_in_memory(
    tmp_path: Path, quick: Config, cpu: Hardware
) -> None:
    found = mapped(tmp_path)
    for step in range(5):
        one, other = (
            Minibatches(rows, quick, cpu).at(step, draws=1) for rows in (found.train.rows, found.train.rows.clone())
        )
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.noise, other.noise)


def test_a_model_trains_on_a_mapped_file(tmp_path: Path, quick: Config, cpu: Hardware) -> None:
    events: list[Event] = []
    this = session.new(
        quick, run=folder.create(tmp_path / "run"), source="rows.npy", dataset=mapped(tmp_path), hardware=cpu
    )
    assert this.fit(observe=events.append, stopping=lambda: False, clock=lambda: 0.0)
    assert sum(isinstance(event, EpochDone) for event in events) == 15


def test_a_mapped_file_that_would_have_to_be_rewritten_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"rows.npy: is float64 and 0.0 GB; a file too large .* must hold bytes"):
        mapped(tmp_path, ROWS / 255)
    with pytest.raises(TrainingError, match="write black and white as 0 and 255"):
        mapped(tmp_path, ROWS // 128)
    with pytest.raises(TrainingError, match=r"has shape \(1080, 4\); allowed: \[N, H, W\]"):
        mapped(tmp_path, ROWS.reshape(1080, 4))
    (tmp_path / "junk.npy").write_bytes(b"junk" * 1000)
    with pytest.raises(TrainingError, match=r"junk.npy: numpy cannot read it"):
        load(str(tmp_path / "junk.npy"), environment={}, map_from=1000)


def test_a_file_is_too_large_from_a_quarter_of_the_memory_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    size = (tmp_path / "rows.npy").stat().st_size
    protocols = []
    for total in (4 * size, 4 * size + 4):
        monkeypatch.setattr(memory, "total", lambda total=total: total)
        protocols.append(source.load(str(tmp_path / "rows.npy"), environment={}).protocol)
    assert protocols == ["the last 9 training rows", "9 training rows at random, the same for every run"]


def test_the_memory_of_a_container_is_its_limit(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    machine = memory.total(limits=())
    assert machine > 1 << 28
    limit.write_text("max\n")
    assert memory.total(limits=(limit,)) == machine
    limit.write_text("123456789\n")
    assert memory.total(limits=(limit, tmp_path / "missing")) == 123456789
