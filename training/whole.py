"""Files that are written whole or not at all: a reader, or a crash, sees the old one or the new one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def writing(file: Path, *, writer: str = "") -> Iterator[BinaryIO]:
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


def write(file: Path, content: bytes, *, writer: str = "") -> None:
    """Replace `file`, and make its folder where there is none. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with writing(file, writer=writer) as stream:
        stream.write(content)
