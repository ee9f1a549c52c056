"""The reader of IDX files, MNIST's format, gzipped or plain, in a folder under their usual names."""

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.datasets.dataset import Source, Split
from training.errors import TrainingError

UINT8 = 0x08
NAME = re.compile(
    r"(?:.*[-_.])?(?P<split>train|valid|validation|t10k|test)[-_.](?P<what>images|labels)[-_.]idx\d[-_.]ubyte(\.gz)?"
)
SPLITS = {"train": "train", "valid": "validation", "validation": "validation", "t10k": "test", "test": "test"}


def is_folder(path: Path) -> bool:
    return any(NAME.fullmatch(entry.name) for entry in path.iterdir())


def read_folder(path: Path) -> Source:
    """Read the training images and, if present, the validation and test images and all labels. Raises TrainingError."""
    files: dict[tuple[str, str], Path] = {}
    for entry in sorted(path.iterdir()):
        if match := NAME.fullmatch(entry.name):
            key = (SPLITS[match["split"]], match["what"])
            if key in files:
                raise TrainingError(f"{path}: {files[key].name} and {entry.name} are both {' '.join(key)}; keep one")
            files[key] = entry
    if ("train", "images") not in files:
        raise TrainingError(f"{path}: has no train-images-idx3-ubyte[.gz]")
    splits = {name: _split(files, name) for name in ("train", "validation", "test") if (name, "images") in files}
    return Source(path.name, splits["train"], splits.get("validation"), splits.get("test"), hold_out_last=True)


def read_array(file: Path) -> Tensor:
    """Read one IDX file of bytes as a uint8 tensor. Raises TrainingError or OSError."""
    try:
        content = file.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TrainingError(f"{file}: is not readable gzip ({error}); fetch it again") from None
    if len(content) < 4 or content[:2] != b"\0\0":
        raise TrainingError(f"{file}: is not an IDX file; it must begin with two zero bytes")
    if content[2] != UINT8:
        raise TrainingError(f"{file}: holds IDX type 0x{content[2]:02x}; allowed: 0x08, unsigned bytes")
    header = 4 + 4 * content[3]
    if len(content) < header:
        raise TrainingError(f"{file}: ends inside its header; fetch it again")
    shape = struct.unpack(f">{content[3]}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise TrainingError(
            f"{file}: its header says {shape}, {math.prod(shape)} bytes, but {len(content) - header} follow; "
            "fetch it again"
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def _split(files: dict[tuple[str, str], Path], name: str) -> Split:
    file = files[name, "images"]
    images = read_array(file)
    if images.ndim not in (3, 4):
        raise TrainingError(f"{file}: has {images.ndim} axes; images need 3, [N, H, W], or 4, [N, C, H, W]")
    labels = None
    if (name, "labels") in files:
        labels = read_array(files[name, "labels"])
        if labels.ndim != 1:
            raise TrainingError(f"{files[name, 'labels']}: has {labels.ndim} axes; labels need 1")
    return Split(images.unsqueeze(1) if images.ndim == 3 else images, None if labels is None else labels.long())
