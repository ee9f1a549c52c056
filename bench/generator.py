"""The load generator of bench/loadgen as a Python function: it builds the program, runs it and reads its JSON."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "loadgen"
NEEDS = "g++ make pkg-config libgrpc++-dev libprotobuf-dev"  # Debian's names
PATIENCE = 120.0  # seconds that the program may take beyond its time


class CannotBuild(Exception):
    """The generator cannot be built here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What callers saw in one measured window."""

    calls_per_second: float  # answered with OK
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    longest_gap_ms: float  # between two answers to any callers
    response_mb_per_second: float
    codes: Mapping[str, int]  # by status, in the window
    codes_outside: Mapping[str, int]  # by status, in the warm-up and of calls that ended after the window
    messages: Mapping[str, str]  # one of each status that is not OK

    @property
    def failed(self) -> int:
        """Calls with any status but OK, at any time."""
        return sum(count for codes in (self.codes, self.codes_outside) for code, count in codes.items() if code != "OK")


def build() -> Path:
    """The generator's program. Raises CannotBuild."""
    missing = [program for program in ("g++", "make", "pkg-config") if shutil.which(program) is None]
    if not missing and subprocess.run(["pkg-config", "--exists", "grpc++"], check=False).returncode:
        missing = ["gRPC for C++"]
    if missing:
        raise CannotBuild(
            f"the load generator needs {', '.join(missing)}; on Debian: apt install --no-install-recommends {NEEDS}"
        )
    made = subprocess.run(["make", "-C", SOURCES], capture_output=True, text=True, check=False)
    if made.returncode:
        raise CannotBuild(f"the load generator does not compile here:\n{made.stdout}{made.stderr}")
    return SOURCES / "build" / "loadgen"


@dataclass(frozen=True, slots=True)
class Generator:
    """Runs the program, on all cores or on some."""

    program: Path
    channels: int = 1
    cores: str = ""  # as taskset writes them; empty: all

    def run(
        self,
        target: str,
        method: str,
        *,
        callers: int,
        seconds: float,
        warm_up: float,
        payloads: Sequence[bytes] = (),
        rubbish: bytes | None = None,
        calls: int | None = None,
        deadline_ms: int | None = None,
        halfway: Callable[[], None] = lambda: None,
    ) -> tuple[Load, Load | None]:
        """Load a server for `seconds`, or until `calls` good calls are answered; `halfway` is called in between.

        Returns the load of the good callers, and that of the rubbish callers, one in eight, if `rubbish` is given.
        Raises RuntimeError if no server answers.
        """
        with tempfile.TemporaryDirectory() as folder:
            command = [*(["taskset", "-c", self.cores] if self.cores else []), str(self.program)]
            command += ["--target", target, "--method", method, "--callers", str(callers)]
            command += ["--channels", str(min(self.channels, callers))]
            command += ["--seconds", str(seconds), "--warm-up", str(warm_up)]
            for number, payload in enumerate(payloads):
                command += ["--payload", _write(Path(folder, f"payload-{number}"), payload)]
            if rubbish is not None:
                command += ["--rubbish", _write(Path(folder, "rubbish"), rubbish)]
            if calls is not None:
                command += ["--calls", str(calls)]
            if deadline_ms is not None:
                command += ["--deadline-ms", str(deadline_ms)]
            return _answer(command, warm_up + seconds / 2, halfway)


def _write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def _answer(command: Sequence[str], half: float, halfway: Callable[[], None]) -> tuple[Load, Load | None]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            output, problems = process.communicate(timeout=half)
        except subprocess.TimeoutExpired:
            halfway()
            try:
                output, problems = process.communicate(timeout=half + PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    if process.returncode:
        raise RuntimeError(problems.strip())
    facts = json.loads(output)
    return (_load(facts["good"]), _load(facts["rubbish"]) if "rubbish" in facts else None)


def _load(facts: Mapping[str, Any]) -> Load:
    return Load(**{name: facts[name] for name in Load.__slots__})
