"""Atomic writing: a file or a folder is at its place whole or not at all, for any reader and after a crash.

A file may be replaced; a folder, which holds an artifact, never is.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from training.errors import TrainingError


@contextmanager
def replacing(file: Path, *, writer: str = "") -> Iterator[BinaryIO]:
    """A stream whose bytes replace `file` when the block ends well; its folder must exist.

    `writer` tells apart those who may write the same file at once. Raises OSError, which names `file`.
    """
    temporary = file.with_name(f".{file.name}{writer}.partial")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except OSError as error:  # that of a stream names no file
        raise OSError(error.errno, error.strerror, str(file)) from error
    finally:
        temporary.unlink(missing_ok=True)


def replace(file: Path, content: bytes, *, writer: str = "") -> None:
    """Replace `file`, and make its folder where there is none. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, writer=writer) as stream:
        stream.write(content)


@contextmanager
def creating(out: Path) -> Iterator[Path]:
    """A folder to fill; it becomes `out` when the block ends well. Otherwise nothing remains, neither of it nor of the
    folders above `out` that were made for it.

    Raises TrainingError if something is at `out`, before or then, and OSError.
    """
    require_free(out)
    missing = [above for above in out.parents if not above.exists()]  # the innermost first
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # A name with a dot in front is no version to the server.
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            yield folder
            for entry in (*folder.iterdir(), folder):
                _sync(entry)
            folder.chmod(0o755)
            try:
                folder.rename(out)
            except OSError:
                require_free(out)
                raise
            _sync(out.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        for above in missing:
            with suppress(OSError):  # it is not empty: `out` is there, or what somebody else has put beside it
                above.rmdir()


def require_free(out: Path) -> None:
    """Raises TrainingError if something is at `out`: an artifact is never overwritten."""
    if out.exists() or out.is_symlink():
        raise TrainingError(f"--out {out}: exists already; versions are never overwritten, choose the next one")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
