"""Files that change are read again once they have settled."""

import os

import pytest

from server.app.file_watcher import FileWatcher


class Reader:
    """Reads a number from a file, and records what the watcher reports."""

    def __init__(self, file) -> None:
        self.file, self.values, self.reports = file, [], []
        self.watched = FileWatcher(
            "number", [file], lambda: int(file.read_text()), changed=self.values.append,
            report=lambda name, error: self.reports.append((name, type(error))),
        )  # fmt: skip

    def write(self, text: str) -> None:
        other = self.file.with_suffix(".new")
        other.write_text(text)
        os.replace(other, self.file)


@pytest.fixture
def reader(tmp_path) -> Reader:
    file = tmp_path / "number"
    file.write_text("1")
    return Reader(file)


def test_nothing_is_read_while_nothing_changes(reader):
    for _ in range(3):
        reader.watched.look()
    assert (reader.watched.value, reader.values, reader.reports) == (1, [], [])


def test_a_change_is_read_once_it_has_settled(reader):
    reader.write("2")
    reader.watched.look()
    assert reader.values == [], "it may be half of it"
    reader.watched.look()
    reader.watched.look()
    assert (reader.watched.value, reader.values, reader.reports) == (2, [2], [("number", type(None))])


def test_a_file_that_cannot_be_read_leaves_the_old_value_and_is_reported_once(reader):
    for harm in (lambda: reader.write("rubbish"), reader.file.unlink):
        harm()
        for _ in range(3):
            reader.watched.look()
    assert (reader.watched.value, reader.values) == (1, [])
    assert reader.reports == [("number", ValueError), ("number", FileNotFoundError)]
    reader.write("3")
    reader.watched.look()
    reader.watched.look()
    assert reader.watched.value == 3


def test_a_value_that_cannot_be_used_is_reported(tmp_path):
    def refuse(value: int) -> None:
        raise OSError

    file, reports = tmp_path / "number", []
    file.write_text("1")
    watched = FileWatcher(
        "number", [file], lambda: int(file.read_text()), changed=refuse,
        report=lambda name, error: reports.append(type(error)),
    )  # fmt: skip
    file.unlink()
    file.write_text("22")
    watched.look()
    watched.look()
    assert reports == [OSError]


def test_the_first_reading_may_fail(tmp_path):
    with pytest.raises(FileNotFoundError):
        Reader(tmp_path / "none")
