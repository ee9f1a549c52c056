"""The reader of folders of PNG and JPEG files."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from training.datasets.dataset import Source, Split
from training.errors import TrainingError

SUFFIXES = {".png", ".jpg", ".jpeg"}
SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
GREY_MODES = {"1", "L", "LA"}
WIDE_GREY_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N"}  # Pillow's modes for 16-bit PNGs: grey 0..65535


def read_folder(path: Path) -> Source:
    """Read every picture below `path`, in the order of the file names.

    Folders train, validation (or valid, val) and test in `path` are the splits. All pictures must have one size. If one
    is in colour, all are read in colour. Transparent pixels are blended with black, and 16-bit grey is rounded to 256
    levels. Raises TrainingError.
    """
    folders = {
        name: next((path / folder for folder in folders if (path / folder).is_dir()), None)
        for name, folders in SPLITS.items()
    }
    if folders["train"] is None:
        folders = {"train": path, "validation": None, "test": None}
    files = {name: [] if folder is None else _pictures(folder) for name, folder in folders.items()}
    if not files["train"]:
        raise TrainingError(
            f"{path}: holds no data; expected train-images-idx3-ubyte[.gz], or train.csv, .tsv or .parquet, or .png, "
            ".jpg or .jpeg pictures; for a file of another name give the file itself"
        )
    mode = "L" if all(_is_grey(file) for group in files.values() for file in group) else "RGB"
    splits = {name: _split(group, mode) for name, group in files.items() if group}
    return Source(path.name, splits["train"], splits.get("validation"), splits.get("test"))


def _pictures(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.rglob("*") if entry.suffix.lower() in SUFFIXES and entry.is_file())


def _is_grey(file: Path) -> bool:
    with _opened(file) as picture:
        return picture.mode in GREY_MODES | WIDE_GREY_MODES


def _split(files: list[Path], mode: str) -> Split:
    rows: torch.Tensor | None = None
    for index, file in enumerate(files):
        pixels = _pixels(file, mode)  # [C, H, W]
        if rows is None:
            rows = torch.empty((len(files), *pixels.shape), dtype=torch.uint8)
        if pixels.shape != tuple(rows.shape[1:]):
            raise TrainingError(
                f"{file}: is {pixels.shape[2]}x{pixels.shape[1]} pixels, {files[0].name} is "
                f"{rows.shape[3]}x{rows.shape[2]}; bring all pictures to one size first"
            )
        rows[index] = torch.from_numpy(pixels)
    assert rows is not None
    return Split(rows)


def _pixels(file: Path, mode: str) -> NDArray[np.uint8]:
    with _opened(file) as picture:
        if picture.mode == "F":
            raise TrainingError(f"{file}: holds floats without a known range; save it with 8 or 16 bits per channel")
        try:
            upright = ImageOps.exif_transpose(picture)
            if "A" in upright.getbands():
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, "black"), upright.convert("RGBA"))
            if upright.mode in WIDE_GREY_MODES:
                upright = _bytes_of(upright, file)
            array = np.array(upright.convert(mode))
        except (OSError, ValueError, SyntaxError) as error:  # Pillow raises any of these for a damaged file
            raise TrainingError(f"{file}: is damaged: {error}; remove or replace it") from None
    return array[None] if mode == "L" else np.ascontiguousarray(array.transpose(2, 0, 1))


def _bytes_of(picture: Image.Image, file: Path) -> Image.Image:
    """Grey 0..65535 scaled to 0..255. Pillow's own conversion would clip at 255. Raises TrainingError."""
    words = np.array(picture)
    if words.min() < 0 or words.max() > 65535:
        raise TrainingError(f"{file}: holds values from {words.min()} to {words.max()}; allowed: 8 or 16 bits")
    return Image.fromarray(np.rint(words / 257).astype(np.uint8))


def _opened(file: Path) -> Image.Image:
    try:
        return Image.open(file)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise TrainingError(
            f"{file}: is not a readable picture ({type(error).__name__}); remove or replace it"
        ) from None
