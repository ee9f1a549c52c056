"""The provenance of an artifact: code, libraries, data. It has no times, hosts or paths: equal runs have equal ones."""

import os
import shutil
import subprocess
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from training.config.config import Config
from training.datasets import Dataset
from training.run.hardware import Hardware

LIBRARIES = ("numpy", "onnx", "onnxruntime", "onnxscript", "torch")


def describe(config: Config, dataset: Dataset, hardware: Hardware) -> dict[str, Any]:
    """The provenance that is known when training starts, as plain values."""
    return {
        "config": config.to_mapping(),
        "data": {
            "name": dataset.name,
            "sha256": dataset.sha256,
            "rows": dataset.counts,
            "validation": dataset.protocol,
            "static": dataset.static,
            **({} if dataset.columns is None else {"columns": list(dataset.columns)}),
        },
        "git_commit": git_commit(Path(__file__).parent),
        "hardware": {
            "device": hardware.device.type,
            "precision": hardware.precision,
            "threads": hardware.threads,
            "processes": hardware.ranks.count,
        },
    }


def libraries() -> dict[str, str]:
    """The installed versions of LIBRARIES."""
    return {name: version(_distribution(name)).split("+")[0] for name in LIBRARIES}


def git_commit(folder: Path) -> str | None:
    """The git commit of `folder`, with "-dirty" if files were changed since; None if git does not know it."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  fixed arguments
            [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # take no lock that would disturb another git process
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _distribution(name: str) -> str:
    # The package onnxruntime comes from the distribution onnxruntime or onnxruntime-gpu.
    return packages_distributions()["onnxruntime"][0] if name == "onnxruntime" else name
