"""Measured rates outlive a restart, and a file is used only if it fits the facts and is valid."""

import json
from pathlib import Path

import pytest

from server.core.model import Rate
from server.engine.autotune.cache import CalibrationCache, gpus
from server.engine.autotune.choose import ExecutionOverrides

FACTS = {"artifact": "abc", "cores": 2}
MEASURED = ExecutionOverrides()  # nothing is set
RATES = {"decoder": (Rate(1, 1, 1, 1000.0), Rate(2, 1, 1, 1500.0), Rate(2, 2, 1, 2900.5))}


def remembered(folder: Path | None) -> tuple[CalibrationCache, list[str]]:
    told: list[str] = []
    return CalibrationCache(folder, tell=told.append), told


def recall(folder: Path, *, facts=FACTS, overrides=MEASURED):
    return remembered(folder)[0].recall(facts, RATES, overrides)


def test_what_is_kept_is_recalled_by_another_process(tmp_path):
    remembered(tmp_path / "new" / "folder")[0].keep(FACTS, RATES)
    assert recall(tmp_path / "new" / "folder") == RATES


def test_other_facts_are_another_file(tmp_path):
    remembered(tmp_path)[0].keep(FACTS, RATES)
    assert recall(tmp_path, facts=FACTS | {"cores": 4}) is None
    remembered(tmp_path)[0].keep(FACTS | {"cores": 4}, RATES)
    assert len(list(tmp_path.iterdir())) == 2
    assert recall(tmp_path) == RATES


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"format": 2', '"format": 3'),
        lambda text: text.replace("abc", "xyz"),
        lambda text: text.replace("decoder", "encoder"),
        lambda text: json.dumps(json.loads(text) | {"graphs": {"decoder": []}}),
        lambda text: text.replace("1000.0", "NaN"),
        lambda text: text.replace("1000.0", "Infinity"),
        lambda text: text.replace("1000.0", "-1000.0"),
        lambda text: text.replace("[2, 2, 1", "[1000000, 2, 1"),
        lambda text: text.replace("[2, 2, 1", "[2, 1000, 1"),
        lambda text: text.replace("[2, 2, 1", "[2, 2, 3"),
        lambda text: text.replace("[2, 2, 1", '["2", 2, 1'),
        lambda text: text.replace("[2, 2, 1", "[2, true, 1"),
        lambda text: text.replace("[2, 2, 1, 2900.5]", "[2, 2]"),
    ],
)
def test_a_damaged_or_foreign_file_is_ignored_and_written_anew(tmp_path, damage):
    remembered(tmp_path)[0].keep(FACTS, RATES)
    (file,) = tmp_path.iterdir()
    assert damage(file.read_text()) != file.read_text()
    file.write_text(damage(file.read_text()))
    assert recall(tmp_path) is None
    remembered(tmp_path)[0].keep(FACTS, RATES)
    assert recall(tmp_path) == RATES


def test_a_file_that_is_not_text_is_ignored(tmp_path):
    remembered(tmp_path)[0].keep(FACTS, RATES)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"\xff\x00\xfe")
    assert recall(tmp_path) is None


def test_rates_that_contradict_the_settings_are_ignored(tmp_path):
    remembered(tmp_path)[0].keep(FACTS, RATES)
    for overrides in (ExecutionOverrides(rows=2), ExecutionOverrides(executors=1), ExecutionOverrides(threads=2)):
        assert recall(tmp_path, overrides=overrides) is None


def test_a_folder_that_cannot_be_written_is_reported_once_and_nothing_fails(tmp_path):
    (tmp_path / "file").write_text("in the way")
    memory, told = remembered(tmp_path / "file" / "folder")
    assert memory.recall(FACTS, RATES, ExecutionOverrides()) is None
    memory.keep(FACTS, RATES)
    memory.keep(FACTS | {"artifact": "other"}, RATES)
    assert told == [f"{tmp_path}/file/folder: Not a directory"]


def test_a_write_that_fails_leaves_no_file_behind(tmp_path, monkeypatch):
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    memory, told = remembered(tmp_path)
    memory.keep(FACTS, RATES)
    assert (list(tmp_path.iterdir()), told) == ([], [f"{tmp_path}: No space left on device"])


def test_without_a_folder_nothing_is_kept_and_nothing_reported():
    memory, told = remembered(None)
    memory.keep(FACTS, RATES)
    assert (memory.recall(FACTS, RATES, ExecutionOverrides()), told) == (None, [])


def test_gpus_are_known_by_their_models_and_not_by_their_serial_numbers(tmp_path):
    for bus, model in (("0000:81:00.0", "NVIDIA L4"), ("0000:01:00.0", "NVIDIA A10")):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t 17\nGPU UUID: \t GPU-1-2\n")
    assert gpus(tmp_path) == ["NVIDIA A10", "NVIDIA L4"]


def test_a_machine_without_nvidias_driver_has_none(tmp_path):
    assert gpus(tmp_path / "nowhere") == []
