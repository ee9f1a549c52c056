"""Keeps measured rates in files from one start to the next, one file for each set of facts."""

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
# All that an artifact's rates depend on: digests, hardware, versions, settings. Their hash names the file.
Facts: TypeAlias = Mapping[str, Any]
Rates: TypeAlias = dict[str, tuple[Rate, ...]]


class CalibrationCache:
    """A folder of files with rates. Without a folder, or if it cannot be written, nothing is kept and nothing fails."""

    def __init__(self, folder: Path | None, *, tell: Callable[[str], object]) -> None:
        """`tell` is called once if the folder cannot be written, with the reason."""
        self._folder = folder
        self._tell = tell

    def recall(self, facts: Facts, graphs: Collection[str], overrides: ExecutionOverrides) -> Rates | None:
        """The rates kept for these facts, by graph; None if there are none or they are not valid."""
        if self._folder is None:
            return None
        try:
            return _read(json.loads(self._file(self._folder, facts).read_text()), facts, graphs, overrides)
        except (OSError, ValueError, TypeError, KeyError):
            return None  # absent, damaged or of other facts: it will be measured and written anew

    def keep(self, facts: Facts, rates: Rates) -> None:
        """Write the rates of all graphs for these facts."""
        if self._folder is None:
            return
        graphs = {name: [[r.rows, r.executors, r.threads, r.rows_per_second] for r in rates[name]] for name in rates}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write_atomically(
                self._file(self._folder, facts), json.dumps({"format": FORMAT, "facts": facts, "graphs": graphs})
            )
        except OSError as error:
            self._tell(f"{self._folder}: {error.strerror}")
            self._folder = None

    @staticmethod
    def _file(folder: Path, facts: Facts) -> Path:
        text = json.dumps([FORMAT, facts], sort_keys=True)
        return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


# Keys of /proc/cpuinfo on x86 and on Arm. Clocks, and numbers that differ from core to core, are left out.
_FACTS = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "cache size", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features",
)  # fmt: skip


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Model and features of the first core; only the architecture if `cpuinfo` cannot be read."""
    facts = {"architecture": platform.machine()}
    try:
        first = cpuinfo.read_text().partition("\n\n")[0]
    except OSError:
        return facts
    pairs = (line.partition(":") for line in first.splitlines())
    return facts | {name.strip(): value.strip() for name, _, value in pairs if name.strip() in _FACTS}


def gpus(driver: Path = Path("/proc/driver/nvidia/gpus")) -> list[str]:
    """The models of this machine's NVIDIA GPUs, sorted; empty without NVIDIA's driver."""
    found = []
    for file in driver.glob("*/information"):
        pairs = (line.partition(":") for line in file.read_text().splitlines())
        found += [value.strip() for name, _, value in pairs if name.strip() == "Model"]
    return sorted(found)


def _read(document: Any, facts: Facts, graphs: Collection[str], overrides: ExecutionOverrides) -> Rates:
    """The rates in a document. Raises ValueError, TypeError or KeyError if `keep` cannot have written it."""
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
        raise ValueError(f"not a measured rate: {row}")
    return Rate(rows, executors, threads, rows_per_second)


def _write_atomically(file: Path, text: str) -> None:
    """Write a file so that readers see all of it or none. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w") as temporary:
            temporary.write(text)
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
