"""Prepares a Unix socket's path: removes a dead socket, and keeps other users out."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def clear(path: Path) -> None:
    """Remove a socket that a dead process left behind. Raises OSError if the path is in use."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"cannot listen on {path}: there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(f"cannot listen on {path}: another process listens on it")


@contextmanager
def private() -> Iterator[None]:
    """Files made inside this context have mode 0600 or less."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
