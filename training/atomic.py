"""Atomic writing: a reader sees a file or folder complete or not at all, even after a crash.

A file may be replaced. A folder, which holds an artifact, never is.
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
    """A stream whose bytes replace `file` if the block ends without an exception. The file's folder must exist.

    Writers that may write the same file at the same time need different `writer` names. Raises OSError, which names
    `file`.
    """
    temporary = file.with_name(f".{file.name}{writer}.partial")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except OSError as error:  # an error of write() or fsync() names no file
        raise OSError(error.errno, error.strerror, str(file)) from error
    finally:
        temporary.unlink(missing_ok=True)


def replace(file: Path, content: bytes, *, writer: str = "") -> None:
    """Replace the content of `file`; its folder is created if it is missing. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, writer=writer) as stream:
        stream.write(content)


@contextmanager
def creating(out: Path) -> Iterator[Path]:
    """A temporary folder to fill, which is renamed to `out` if the block ends without an exception.

    Otherwise it is removed, with the folders above `out` that were created for it. Raises OSError, and TrainingError if
    `out` exists at the beginning or at the end of the block.
    """
    require_free(out)
    missing = [above for above in out.parents if not above.exists()]  # the innermost first
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # The server ignores names that begin with a dot: it takes the unfinished folder for no version.
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
            with suppress(OSError):  # it is not empty: it holds `out`, or what another process has put there
                above.rmdir()


def require_free(out: Path) -> None:
    """Raise TrainingError if `out` exists: an artifact is never overwritten."""
    if out.exists() or out.is_symlink():
        raise TrainingError(f"--out {out}: exists already; versions are never overwritten, choose the next one")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
