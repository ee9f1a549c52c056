"""Folders of this process's own among the temporary files. Killed, it leaves them behind: the next process clears them.

A file in the folder is locked (flock) as long as its process lives, whatever program that has become. The kernel gives
the lock up, also where processes do not see each other's ids, as in containers that share a folder.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX, LOCK = "vaeserve-", "lock"


def make() -> Path:
    """A new folder, which is this process's until it ends or removes it. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    fresh = folder / f"{LOCK}.fresh"
    held = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o600)
    os.set_inheritable(held, True)  # the lock outlives exec; nobody closes the file
    fcntl.flock(held, fcntl.LOCK_EX)
    fresh.rename(folder / LOCK)  # whoever finds it finds it locked
    return folder


def clear() -> None:
    """Remove what processes of this user made and are gone that made it."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            about = folder.lstat()
            if stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid():
                _remove_unless_held(folder)
        except OSError:
            continue  # somebody is at it, or it is none of ours


def _remove_unless_held(folder: Path) -> None:
    lock = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
