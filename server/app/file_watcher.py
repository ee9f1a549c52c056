"""Files that change while the server runs: read again once they have settled; what cannot be read changes nothing."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
WATCH_SECONDS = 0.5
# Of each file (device, inode, nanoseconds, size), links followed; None where there is none.
_Marks: TypeAlias = tuple[tuple[int, int, int, int] | None, ...]


class FileWatcher(Generic[T]):
    """What some files hold, as last read with success."""

    def __init__(
        self,
        name: str,
        files: Sequence[Path],
        read: Callable[[], T],
        *,
        changed: Callable[[T], None],
        report: Callable[[str, Exception | None], None],
    ) -> None:
        """Read them. Raises what `read` raises.

        Later `changed` gets each new value, and `report` hears with the name how each new reading went.
        """
        self._name, self._files, self._read = name, tuple(files), read
        self._changed, self._report = changed, report
        self._known = self._seen = self._marks()
        self.value = read()

    def look(self) -> None:
        """Read again if the files have changed and stayed as they are since the last look.

        Certificate and key are two files, and some editors write in pieces: the first glance would see halves.
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
    """Look at them for ever."""
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
