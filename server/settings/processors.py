"""Counts the processors that this process may use."""

import math
import os
from pathlib import Path


def cores(*, cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """The number of processors this process may use, within its CPU affinity (taskset) and its container's quota."""
    affinity = len(os.sched_getaffinity(0))
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:  # the first version of control groups
            quota, period = ((cgroup / f"cpu/cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        limit = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no quota is set, or the system has no control groups
        return affinity
    return affinity if limit < 1 else min(affinity, limit)
