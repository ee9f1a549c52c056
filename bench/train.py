"""Compares the training speed of preset `seed` with the tutorial's network in Keras: `make bench-train`.

Every contestant is a process of its own and has all cores during its turn. After a few untimed steps come rounds of
timed steps, in which the contestants alternate. The output is medians over the rounds, with their spread. A turn is
repeated while there is time if other processes used much of the machine.
The first run needs a package index, for Keras and TensorFlow (about 1 GB in bench/.venv-keras). Nothing else needs a
network: without MNIST, pictures are drawn at random.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.artifacts import drawn_pictures
from bench.machine import busy_ticks, process_ticks
from training.datasets import mnist
from training.errors import TrainingError

HERE = Path(__file__).parent
KERAS_PYTHON = HERE / ".venv-keras" / "bin" / "python"
KERAS = ("keras==3.15.*", "tensorflow-cpu==2.21.*")
WARM_UP = 10  # steps: tracing, compilation, primitive caches
BUDGET = 300.0  # seconds after which no turn is repeated
DISTURBED = 0.05  # a turn is repeated if other processes used more of the machine
TARGET = 1.3

KERAS_CONTESTANTS = ("Keras", "Keras, jit_compile", "Keras, mixed_bfloat16")
FIT = "+ kept memory = fit"  # exactly what `python -m training fit` does
COMPILED = "+ torch.compile"  # not part of `fit`; it needs a C++ compiler
# Each adds one thing to the one before.
OUR_CONTESTANTS = ("eager fp32", "+ channels last", "+ bf16", "+ four phases", FIT, COMPILED)


@dataclass(frozen=True, slots=True)
class Turn:
    """The measurement of some steps of one contestant."""

    seconds: float
    others: float  # share of the machine that other processes used meanwhile, 0..1


@dataclass(frozen=True, slots=True)
class Worker:
    """A contestant's process: it reads a number of steps and answers with the seconds they took."""

    name: str
    process: subprocess.Popen[str]
    about: str

    def seconds(self, steps: int) -> float:
        print(steps, file=self.process.stdin, flush=True)
        return float(self._answer())

    def turn(self, steps: int) -> Turn:
        """Time some steps, and measure the share of other processes."""
        busy, own = busy_ticks(), process_ticks(self.process.pid)
        seconds = self.seconds(steps)
        others = busy_ticks() - busy - (process_ticks(self.process.pid) - own)
        return Turn(seconds, others / os.sysconf("SC_CLK_TCK") / seconds / (os.cpu_count() or 1))

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} has ended early; see above")
        return line

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def start(name: str, rows: Path, *, batch_size: int, threads: int) -> Worker:
    python, script = (
        (KERAS_PYTHON, "keras_tutorial.py") if name in KERAS_CONTESTANTS else (Path(sys.executable), "our_tutorial.py")
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
    process = subprocess.Popen(
        [python, HERE / script, name, rows, str(batch_size), str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=HERE.parent,
    )
    worker = Worker(name, process, "")
    facts = json.loads(worker._answer())
    assert facts["parameters"] == 3_450_502, facts  # the same network, by the tutorial's own count
    worker = Worker(name, process, facts["about"])
    worker.seconds(WARM_UP)
    return worker


def install_keras() -> None:
    if KERAS_PYTHON.exists():
        return
    print("installing", *KERAS, "into", KERAS_PYTHON.parents[1], flush=True)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", KERAS_PYTHON.parents[1]], check=True)
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", KERAS_PYTHON, *KERAS], check=True)


def pictures() -> np.ndarray:
    """uint8 [N, 28, 28]."""
    try:
        return mnist.read(os.environ, mirrors=()).train.rows[:, 0].numpy()
    except TrainingError:  # MNIST is not at hand
        return drawn_pictures(60_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30, help="timed at a time (default 30)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant (default 3)")
    parser.add_argument("--batch-size", type=int, default=128, help="rows a step (default 128; the example used 100)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every contestant (default: all cores)")
    parser.add_argument("--only", action="append", help="a contestant's name; may be given several times")
    arguments = parser.parse_args()
    install_keras()
    names = [name for name in (*KERAS_CONTESTANTS, *OUR_CONTESTANTS) if not arguments.only or name in arguments.only]
    if COMPILED in names and shutil.which(os.environ.get("CXX", "g++")) is None:
        names.remove(COMPILED)
        print(f"no C++ compiler here: without {COMPILED}")
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} cores, {arguments.threads} threads each, batches of {arguments.batch_size}, load {load:.1f}"
    )
    if load > 0.5:
        print("others are working on this machine: believe the ratios more than the figures")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npy"
        np.save(rows, pictures())
        workers = [start(name, rows, batch_size=arguments.batch_size, threads=arguments.threads) for name in names]
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for worker in workers:
            turn = worker.turn(arguments.steps)
            while turn.others > DISTURBED and time.monotonic() - began < BUDGET:
                turn = worker.turn(arguments.steps)
            turns[worker.name].append(turn)
    for worker in workers:
        worker.close()
    rates = {name: [arguments.steps * arguments.batch_size / turn.seconds for turn in turns[name]] for name in names}
    report(workers, rates, others=max(turn.others for name in names for turn in turns[name]))


def report(workers: list[Worker], rates: dict[str, list[float]], *, others: float) -> None:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    keras = max((median for name, median in medians.items() if name in KERAS_CONTESTANTS), default=None)
    print(f"\n{'images/s':26}{'median':>8}{'lowest':>8}{'highest':>8}{'/ Keras':>9}")
    for worker in workers:
        median, values = medians[worker.name], rates[worker.name]
        ratio = "" if keras is None else f"{median / keras:8.2f}x"
        print(f"{worker.name:26}{median:8,.0f}{min(values):8,.0f}{max(values):8,.0f} {ratio}  {worker.about}")
    print(f"other processes took at most {others:.0%} of the machine during a turn")
    ours = medians.get(FIT)
    if keras is not None and ours is not None:
        print()
        for whose, theirs in (
            ("Keras as the example has it", medians.get(KERAS_CONTESTANTS[0])),
            ("the fastest Keras", keras),
        ):
            if theirs is not None:
                verdict = "reached" if ours >= TARGET * theirs else "MISSED"
                print(f"fit / {whose}: {ours / theirs:.2f}x; target {TARGET}x {verdict}")


if __name__ == "__main__":
    main()
