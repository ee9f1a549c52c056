"""The reader of .npy and .npz files: images or tables."""

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.datasets import tables
from training.datasets.dataset import Source, Split
from training.errors import TrainingError

# The names that an archive may give to the rows of its splits, and to their labels.
NAMES = {
    "train": ("train", "x_train", "train_images", "x", "images", "arr_0"),
    "validation": ("validation", "x_validation", "valid", "x_valid", "val", "x_val"),
    "test": ("test", "x_test", "test_images"),
}
LABELS = {
    "train": ("y_train", "train_labels", "y", "labels"),
    "validation": ("y_validation", "y_valid", "y_val"),
    "test": ("y_test", "test_labels"),
}


def read(file: Path) -> Source:
    """Read a .npy file, or a .npz archive with an array `train` and optionally `validation` and `test`.

    A table is [N, D] of numbers other than bytes. Images are [N, H, W], [N, H, W, C] or [N, C, H, W] with 1 or 3
    channels: bytes, booleans, or floats in 0..1, which are rounded to 256 levels. Raises TrainingError, OSError or
    MemoryError.
    """
    try:
        with file.open("rb") as stream:
            content = np.load(stream, allow_pickle=False)
            # numpy reads an archive's members lazily: read all of them while the file is open.
            arrays = {"train": content} if isinstance(content, np.ndarray) else dict(content)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # for a broken archive zipfile, numpy and zlib raise errors of many types
        raise TrainingError(f"{file}: numpy cannot read it: {str(error).splitlines()[0]}") from None
    splits = {name: _split(file, arrays, name) for name in ("train", "validation", "test")}
    train = splits["train"]
    if train is None:
        raise TrainingError(f"{file}: holds {sorted(arrays)}; one array must be named {' or '.join(NAMES['train'])}")
    return Source(file.stem, train, splits["validation"], splits["test"])


def map_images(file: Path) -> Source:
    """Map a .npy file of bytes, [N, H, W], [N, H, W, C] or [N, C, H, W], into memory without reading it.

    The operating system reads rows when they are used, and shares them between the processes of a run. Raises
    TrainingError or OSError.
    """
    try:
        array = np.load(file, mmap_mode="r")
    except ValueError as error:
        raise TrainingError(f"{file}: numpy cannot read it: {str(error).splitlines()[0]}") from None
    if array.dtype != np.uint8:
        raise TrainingError(
            f"{file}: is {array.dtype} and {file.stat().st_size / 1e9:.1f} GB; a file too large for this machine's "
            "memory must hold bytes, 0..255"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # a data set is never written to
        rows = torch.from_numpy(_with_channels_first(array, str(file)))
    return Source(file.stem, Split(rows), mapped=True)


def images(array: NDArray[np.generic], where: str) -> Tensor:
    """An array of images in any accepted layout and type, as uint8 [N, C, H, W]. Raises TrainingError."""
    if array.size == 0:
        raise TrainingError(f"{where}: is empty, shape {array.shape}")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        array = _bytes_of(array, where)
    elif array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.integer) or array.min() < 0 or array.max() > 255:
            raise TrainingError(f"{where}: is {array.dtype}; allowed: values 0..255, booleans, or floats in 0..1")
        array = array.astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(_with_channels_first(array, where)))


def _with_channels_first(array: NDArray[np.generic], where: str) -> NDArray[np.generic]:
    """The array as a view [N, C, H, W], without a copy. Raises TrainingError."""
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise TrainingError(
            f"{where}: has shape {array.shape}; allowed: [N, H, W], or [N, H, W, C] or [N, C, H, W] with 1 or 3 "
            "channels, or [N, D] floats, a table"
        )
    return array


def _bytes_of(array: NDArray[np.generic], where: str) -> NDArray[np.generic]:
    """Floats 0..1 as bytes 0..255, rounded. Raises TrainingError."""
    if not np.isfinite(array).all():
        raise TrainingError(f"{where}: holds NaN or infinite values; clean them first")
    lowest, highest = float(array.min()), float(array.max())
    if lowest < 0 or highest > 1:
        raise TrainingError(f"{where}: holds floats from {lowest:g} to {highest:g}; scale them to 0..1")
    levels: NDArray[np.uint8] = np.rint(array * 255).astype(np.uint8)
    return levels


def _split(file: Path, arrays: dict[str, NDArray[np.generic]], name: str) -> Split | None:
    key = next((key for key in NAMES[name] if key in arrays), None)
    if key is None:
        return None
    label_key = next((key for key in LABELS[name] if key in arrays), None)
    labels = None
    if label_key is not None:
        values = arrays[label_key]
        if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
            raise TrainingError(f"{file}[{label_key}]: is {values.dtype} {values.shape}; labels are whole numbers [N]")
        labels = torch.from_numpy(values.astype(np.int64))
    where = str(file) if file.suffix == ".npy" else f"{file}[{key}]"
    array = arrays[key]
    return Split(tables.rows(array, where) if tables.is_table(array) else images(array, where), labels)
