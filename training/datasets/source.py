"""Which reader reads a source: a keyword, a file or a folder."""

from collections.abc import Mapping
from pathlib import Path

from training.datasets import arrays, digits, idx, mnist, pictures
from training.datasets.dataset import Dataset, Source, assemble
from training.errors import TrainingError

ALLOWED = "digits, mnist, a folder of IDX files or pictures, or a .npy or .npz file"


def load(source: str, *, environment: Mapping[str, str]) -> Dataset:
    """Read `source` into memory. Raises TrainingError, one line, for what cannot be read or trained on."""
    try:
        return assemble(_read(source, environment))
    except MemoryError:
        raise TrainingError(f"--data {source}: does not fit into this machine's memory; train on fewer rows") from None


def _read(source: str, environment: Mapping[str, str]) -> Source:
    if source == "digits":
        return digits.read()
    if source == "mnist":
        return mnist.read(environment)
    path = Path(source)
    if path.is_dir():
        return idx.read_folder(path) if idx.is_folder(path) else pictures.read_folder(path)
    if not path.exists():
        raise TrainingError(f"--data {source}: no such file or folder; allowed: {ALLOWED}")
    if path.suffix in (".npy", ".npz"):
        return arrays.read(path)
    raise TrainingError(f"--data {source}: cannot be read as data; allowed: {ALLOWED}")
