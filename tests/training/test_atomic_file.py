"""A file is replaced completely or not at all, even with several writers."""

import os
from pathlib import Path

import pytest

from training import atomic


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "f"
    atomic.replace(file, b"old")

    class Broken(Exception):
        pass

    def broken() -> None:
        with atomic.replacing(file) as stream:
            stream.write(b"half of the n")
            raise Broken

    with pytest.raises(Broken):
        broken()
    assert (file.read_bytes(), os.listdir(tmp_path)) == (b"old", ["f"])


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "f"
    atomic.replace(file, b"old")
    with atomic.replacing(file, writer=".a") as stream:
        stream.write(b"one ")
        atomic.replace(file, b"another", writer=".b")
        assert file.read_bytes() == b"another"
        stream.write(b"and the same")
    assert (file.read_bytes(), os.listdir(file.parent)) == (b"one and the same", ["f"])


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    (tmp_path / ".f.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        atomic.replace(tmp_path / "f", b"new")
    assert caught.value.filename == str(tmp_path / "f")
    assert os.listdir(tmp_path) == []
