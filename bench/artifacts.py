"""The models that are served: `default` is the one in exported/, the others are made here once and kept in bench/cache.

How well a model was trained does not change how fast it runs, so these see one epoch of drawn pictures.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from bench.process import ROOT
from server import artifact
from server.artifact import Artifact

ModelName = Literal["mlp", "default", "seed"]
MODELS: tuple[ModelName, ...] = get_args(ModelName)
CACHE = ROOT / "bench" / "cache"
EXPORTED = ROOT / "exported" / "mnist" / "1"
HOW = {"mlp": ("--config", "bench/mlp.toml"), "seed": ("--preset", "seed")}
PICTURES = 700  # a tenth of them held out: export proves itself on 64 rows


@dataclass(frozen=True, slots=True)
class Served:
    """A folder for `--models` that holds one model in one version."""

    folder: Path
    artifact: Artifact


def model(name: ModelName) -> Served:
    """One of MODELS; made if it is not there, or was made by other code than today's."""
    source = hashlib.sha256(_source(name)).hexdigest()[:12]
    folder = CACHE / f"{name}-{source}"
    version = folder / name / "1"
    if not version.exists():
        version.parent.mkdir(parents=True, exist_ok=True)
        if name == "default":
            shutil.copytree(EXPORTED, version)
        else:
            _train(name, version)
    return Served(folder, artifact.read(version))


def _source(name: ModelName) -> bytes:
    """What decides the artifact."""
    if name == "default":
        return (EXPORTED / artifact.SUMS).read_bytes()
    code = [file for folder in ("training", "server/artifact") for file in sorted((ROOT / folder).rglob("*.py"))]
    return b"".join(file.read_bytes() for file in (*code, ROOT / "bench" / "mlp.toml"))


def _train(name: ModelName, out: Path) -> None:
    print(f"making model {name} in {out.relative_to(ROOT)}: a minute or two, once", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "pictures.npy"
        np.save(rows, _pictures())
        command = [sys.executable, "-m", "training", "fit", *HOW[name], "--epochs", "1", "--data", str(rows)]
        command += ["--device", "cpu", "--run-dir", str(Path(folder) / "run"), "--out", str(out)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} cannot be made:\n{done.stderr}")


def _pictures() -> np.ndarray:
    """uint8 [N, 28, 28], as dark as handwritten digits."""
    draws = np.random.default_rng(0)
    shape = (PICTURES, 28, 28)
    return draws.integers(0, 256, shape, dtype=np.uint8) * (draws.random(shape, np.float32) < 0.19)
