"""Measured rates kept in files from one start to the next, one file for each question that was measured."""

import hashlib
import json
import math
import os
import platform
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from server.core.model import Rate
from server.engine.autotune.choose import EXECUTORS_AT_MOST, THREADS, ExecutionOverrides

FORMAT = 2
# Everything that the rates of an artifact's graphs depend on: another fact is another file.
Facts: TypeAlias = Mapping[str, Any]
Rates: TypeAlias = dict[str, tuple[Rate, ...]]


class CalibrationCache:
    """A folder of files. Without one, or where it cannot be written, nothing is remembered and nothing fails."""

    def __init__(self, folder: Path | None, *, tell: Callable[[str], object]) -> None:
        """`tell` hears once that the folder cannot be used, and why."""
        self._folder = folder
        self._tell = tell

    def recall(self, facts: Facts, graphs: Collection[str], overrides: ExecutionOverrides) -> Rates | None:
        """The rates kept for these facts, for every graph; None if there are none that make sense."""
        if self._folder is None:
            return None
        try:
            return _read(json.loads(self._file(self._folder, facts).read_text()), facts, graphs, overrides)
        except (OSError, ValueError, TypeError, KeyError):
            return None  # absent, damaged or another's: measured and written anew

    def keep(self, facts: Facts, rates: Rates) -> None:
        if self._folder is None:
            return
        graphs = {name: [[r.rows, r.executors, r.threads, r.rows_per_second] for r in rates[name]] for name in rates}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _replace(self._file(self._folder, facts), json.dumps({"format": FORMAT, "facts": facts, "graphs": graphs}))
        except OSError as error:
            self._tell(f"{self._folder}: {error.strerror}")
            self._folder = None

    @staticmethod
    def _file(folder: Path, facts: Facts) -> Path:
        text = json.dumps([FORMAT, facts], sort_keys=True)
        return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


# What /proc/cpuinfo calls them on x86 and on Arm; clocks and numbers that differ from core to core stay out.
_FACTS = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "cache size", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features",
)  # fmt: skip


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Model and abilities of the first core; the architecture alone where the system does not say more."""
    facts = {"architecture": platform.machine()}
    try:
        first = cpuinfo.read_text().partition("\n\n")[0]
    except OSError:
        return facts
    pairs = (line.partition(":") for line in first.splitlines())
    return facts | {name.strip(): value.strip() for name, _, value in pairs if name.strip() in _FACTS}


def gpus(driver: Path = Path("/proc/driver/nvidia/gpus")) -> list[str]:
    """The models of NVIDIA's GPUs, sorted; none where its driver does not say."""
    found = []
    for file in driver.glob("*/information"):
        pairs = (line.partition(":") for line in file.read_text().splitlines())
        found += [value.strip() for name, _, value in pairs if name.strip() == "Model"]
    return sorted(found)


def _read(document: Any, facts: Facts, graphs: Collection[str], overrides: ExecutionOverrides) -> Rates:
    """Raises ValueError, TypeError or KeyError if a document is not what `keep` writes for these facts."""
    if document["format"] != FORMAT or document["facts"] != facts:
        raise ValueError("other facts")
    rates = {name: tuple(_rate(row, overrides) for row in document["graphs"][name]) for name in graphs}
    if not all(rates.values()):
        raise ValueError("no rates")
    return rates


def _rate(row: Sequence[Any], overrides: ExecutionOverrides) -> Rate:
    rows, executors, threads, rows_per_second = row
    if not (
        all(type(number) is int for number in (rows, executors, threads))
        and rows in overrides.sizes
        and (executors == overrides.executors if overrides.executors else 1 <= executors <= EXECUTORS_AT_MOST)
        and (threads == overrides.threads if overrides.threads else threads in THREADS)
        and type(rows_per_second) is float
        and 0.0 < rows_per_second < math.inf
    ):
        raise ValueError(f"nobody measures {row}")
    return Rate(rows, executors, threads, rows_per_second)


def _replace(file: Path, text: str) -> None:
    """Write a file that others see whole or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w") as temporary:
            temporary.write(text)
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
