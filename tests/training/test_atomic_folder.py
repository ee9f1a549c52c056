"""An artifact appears completely or not at all, with the folders above it."""

from pathlib import Path

import pytest

from training.atomic import creating


def test_a_filled_folder_appears_with_the_folders_above_it(tmp_path: Path) -> None:
    with creating(tmp_path / "exported" / "name" / "1") as folder:
        (folder / "file").write_text("whole")
        assert not (tmp_path / "exported" / "name" / "1").exists()
    assert [path.name for path in (tmp_path / "exported" / "name").iterdir()] == ["1"]
    assert (tmp_path / "exported" / "name" / "1" / "file").read_text() == "whole"


def fail_at(out: Path, *, beside: Path | None = None) -> None:
    with creating(out) as folder:
        (folder / "file").write_text("half")
        if beside is not None:
            beside.mkdir()
        raise ZeroDivisionError


def test_a_failure_leaves_no_folder_that_was_made_for_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_at(tmp_path / "exported" / "name" / "1")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_a_folder_that_was_there_though_empty(tmp_path: Path) -> None:
    (tmp_path / "exported").mkdir()
    with pytest.raises(ZeroDivisionError):
        fail_at(tmp_path / "exported" / "name" / "1")
    assert list(tmp_path.rglob("*")) == [tmp_path / "exported"]


def test_a_failure_leaves_what_others_have_put_beside_it(tmp_path: Path) -> None:
    name = tmp_path / "exported" / "name"
    with pytest.raises(ZeroDivisionError):
        fail_at(name / "1", beside=name / "2")
    assert [path.name for path in name.iterdir()] == ["2"]
