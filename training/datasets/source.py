"""`load`: reads the source that `--data` names, a keyword, a file or a folder, by the reader it needs."""

from collections.abc import Mapping
from pathlib import Path

from training import memory
from training.datasets import arrays, digits, idx, mnist, pictures, tables
from training.datasets.dataset import Dataset, Source, assemble
from training.errors import TrainingError

ALLOWED = "digits, mnist, a folder of IDX files, pictures or tables, or a .npy, .npz, .csv, .tsv or .parquet file"
MAPPED_FROM = 1 / 4  # of the memory: a .npy file of this size or more stays on the disk


def load(source: str, *, environment: Mapping[str, str], map_from: int | None = None) -> Dataset:
    """Read `source` into memory, or map it if it is a .npy file of `map_from` bytes or more (None: MAPPED_FROM).

    Raises TrainingError if the source cannot be read or trained on.
    """
    if map_from is None:
        map_from = int(memory.total() * MAPPED_FROM)
    try:
        return assemble(_read(source, environment, map_from))
    except MemoryError:
        raise TrainingError(f"--data {source}: does not fit into this machine's memory; train on fewer rows") from None


def _read(source: str, environment: Mapping[str, str], map_from: int) -> Source:
    if source == "digits":
        return digits.read()
    if source == "mnist":
        return mnist.read(environment)
    if not source:  # Path("") would be the current directory
        raise TrainingError(f"--data is empty; allowed: {ALLOWED}")
    path = Path(source)
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise TrainingError(f"--data {source}: no such file or folder; allowed: {ALLOWED}")
    return _read_file(path, map_from)


def _read_folder(path: Path) -> Source:
    if idx.is_folder(path):
        return idx.read_folder(path)
    return tables.read_folder(path) if tables.is_folder(path) else pictures.read_folder(path)


def _read_file(path: Path, map_from: int) -> Source:
    if path.suffix == ".npy" and path.stat().st_size >= map_from:
        return arrays.map_images(path)
    if path.suffix in (".npy", ".npz"):
        return arrays.read(path)
    if path.suffix in tables.SUFFIXES:
        return tables.read(path)
    raise TrainingError(f"--data {path}: cannot be read as data; allowed: {ALLOWED}")
