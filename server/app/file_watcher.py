"""Reads files again when they change while the server runs; a file that cannot be read leaves the old value in use."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
WATCH_SECONDS = 0.5
# For each file: (device, inode, modification time in ns, size) of what its path leads to; None if it does not exist.
_Marks: TypeAlias = tuple[tuple[int, int, int, int] | None, ...]


class FileWatcher(Generic[T]):
    """A value that is read from files: `value` is the last one that was read without an error."""

    def __init__(
        self,
        name: str,
        files: Sequence[Path],
        read: Callable[[], T],
        *,
        changed: Callable[[T], None],
        report: Callable[[str, Exception | None], None],
    ) -> None:
        """Read the files for the first time. Raises what `read` raises.

        After every later reading, `changed` gets the new value, and `report` gets the name and the error or None.
        """
        self._name, self._files, self._read = name, tuple(files), read
        self._changed, self._report = changed, report
        self._known = self._seen = self._marks()
        self.value = read()

    def look(self) -> None:
        """Read again if the files changed earlier and have not changed since the last look.

        Certificate and key are two files, and some editors write in pieces: reading at the first sign of a change
        could read half of it.
        """
        marks = self._marks()
        settled, self._seen = marks == self._seen, marks
        if marks == self._known or not settled:
            return
        self._known = marks
        try:
            self.value = self._read()
            self._changed(self.value)
        except Exception as error:
            self._report(self._name, error)
        else:
            self._report(self._name, None)

    def _marks(self) -> _Marks:
        return tuple(_mark(file) for file in self._files)


async def watch(files: "Sequence[FileWatcher[T]]") -> None:
    """Look at the files every WATCH_SECONDS, until cancelled."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        for each in files:
            each.look()


def _mark(file: Path) -> tuple[int, int, int, int] | None:
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size
