"""Private temporary folders of one process. A killed process leaves them behind, and the next process removes them.

A file in the folder stays locked (flock) as long as the process lives, also after an exec. The kernel releases the
lock, so this works even where processes cannot see each other's ids, as in containers that share a folder.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX, LOCK = "vaeserve-", "lock"


def make() -> Path:
    """Make a folder that belongs to this process until the process ends or removes it. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    fresh = folder / f"{LOCK}.fresh"
    lock = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o600)
    os.set_inheritable(lock, True)  # never closed, so that the lock outlives exec
    fcntl.flock(lock, fcntl.LOCK_EX)
    fresh.rename(folder / LOCK)  # under this name the file is always locked
    return folder


def clear() -> None:
    """Remove the folders that were made by processes of this user which have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                _remove_unless_locked(folder)
        except OSError:
            continue  # its process lives, another process removes it, or it was not made by `make`


def _remove_unless_locked(folder: Path) -> None:
    lock = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
