"""Processor time and memory: of the whole machine, of one process, and of a process with its descendants."""

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    lines = (PROC / "cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )


def busy_ticks() -> int:
    """Ticks of processor time in which the whole machine was not idle."""
    user, nice, system, _idle, _iowait, *interrupts = map(int, (PROC / "stat").read_text().splitlines()[0].split()[1:8])
    return user + nice + system + sum(interrupts)


def own_ticks() -> int:
    """Ticks of processor time of this process and of its ended children."""
    return round(sum(os.times()[:4]) * os.sysconf("SC_CLK_TCK"))


def tree(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for listed in (PROC / str(pid) / "task").glob("*/children"):
        for child in _read(listed).split():
            yield from tree(int(child))


def process_ticks(pid: int) -> int:
    """Ticks of processor time, user and system, of a process so far; 0 if it is gone."""
    fields = _read(PROC / str(pid) / "stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def tree_ticks(pid: int) -> int:
    """Ticks of processor time of a process and its descendants so far."""
    return sum(map(process_ticks, tree(pid)))


def tree_pss_mib(pid: int) -> float:
    """Memory of a process and its descendants: pages shared with others count in part (PSS)."""
    rolled = [_read(PROC / str(each) / "smaps_rollup").splitlines() for each in tree(pid)]
    return sum(int(line.split()[1]) for lines in rolled for line in lines if line.startswith("Pss:")) / 1024


def _read(path: Path) -> str:
    """Empty if the process is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
