"""A peer's virtual environment under bench/, installed from the package index the first time."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from bench.process import ROOT


class CannotInstall(Exception):
    """A peer cannot be installed here; the message holds uv's output."""


def python(name: str, *packages: str) -> Path:
    """The interpreter of bench/.venv-NAME with these packages and our version of onnxruntime. Raises CannotInstall."""
    folder = ROOT / "bench" / f".venv-{name}"
    interpreter = folder / "bin" / "python"
    marker = folder / ".installed"
    wanted = "\n".join((*packages, f"onnxruntime=={version('onnxruntime')}"))
    if not marker.exists() or marker.read_text() != wanted:
        print(f"installing {name} into {folder.relative_to(ROOT)}, once", file=sys.stderr, flush=True)
        uv = [sys.executable, "-m", "uv"]
        for command in (
            [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [*uv, "pip", "install", "--quiet", "--python", str(interpreter), *wanted.splitlines()],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CannotInstall(f"{name} cannot be installed:\n{done.stderr}")
        marker.write_text(wanted)
    return interpreter
