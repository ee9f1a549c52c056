"""Items from files: pictures and numpy arrays, in the shape that the model wants."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import click
import numpy as np

from vaeserve.cli.connection import BadInput
from vaeserve.results import ModelInfo
from vaeserve.tensors import Bytes

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = (".png", ".jpg", ".jpeg")
ARRAYS = (".npy", ".npz")
COLOURS = {"L": "grey", "RGB": "colour"}  # by Pillow's name of the mode

_argument = click.argument(
    "inputs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, readable=True), metavar="INPUT..."
)
_resize = click.option(
    "--resize",
    is_flag=True,
    help="Fit pictures into the model's size, on black, and turn colour to grey for a grey model.",
)


def inputs(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command INPUT... and --resize, which reach it as `inputs` and `resize`."""
    return _argument(_resize(command))


@dataclass(frozen=True, slots=True, eq=False)
class LoadedItems:
    """Items and where each came from."""

    items: np.ndarray[Any, Any]  # [rows, *item_shape], uint8 or floats
    names: tuple[str, ...]  # [rows]


def load(paths: Iterable[Path], model: ModelInfo, *, resize: bool) -> LoadedItems:
    """All items of files and folders, in order. Raises BadInput with the file, what it holds and what is wanted."""
    files = [file for path in paths for file in _files(path)]
    parts = [
        _picture(file, model, resize=resize)[None]
        if file.suffix.lower() in PICTURES
        else _rows(file, read_array(file, "items"), model.item_shape)
        for file in files
    ]
    kinds = {part.dtype.name: file for part, file in zip(parts, files, strict=True)}
    if len(kinds) > 1:
        found = ", ".join(f"{file.name} holds {kind}" for kind, file in kinds.items())
        raise BadInput(f"inputs must be of one type (pictures are uint8): {found}")
    names = (
        file.name if len(part) == 1 else f"{file.name}[{row}]"
        for part, file in zip(parts, files, strict=True)
        for row in range(len(part))
    )
    return LoadedItems(np.concatenate(parts), tuple(names))


def read_array(file: Path, *keys: str) -> np.ndarray[Any, Any]:
    """The array of an .npy; of an .npz the first of `keys` it has, or its only array. Raises BadInput."""
    try:
        loaded = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile) as error:
        raise BadInput(f"{file} is no numpy file of numbers") from error
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        for key in (*keys, *(loaded.files if len(loaded.files) == 1 else ())):
            if key in loaded.files:
                return np.asarray(loaded[key])
        raise BadInput(f"{file} holds {', '.join(loaded.files) or 'nothing'}; one of {', '.join(keys)} is wanted")


def _files(path: Path) -> list[Path]:
    """A file itself, or the pictures in a folder, by name."""
    endings = (*PICTURES, *ARRAYS)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        if not found:
            raise BadInput(f"{path} holds no {', '.join(PICTURES)} files")
        return found
    if path.suffix.lower() not in endings:
        raise BadInput(f"{path} is none of {', '.join(endings)}")
    return [path]


def _rows(file: Path, array: np.ndarray[Any, Any], item_shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """An array as [rows, *item_shape]; the one channel of grey pictures may be left out."""
    if array.shape[1:] == item_shape:
        return array
    if item_shape[0] == 1 and array.shape[1:] == item_shape[1:]:
        return array[:, None]
    wanted = ", ".join(map(str, ("rows", *item_shape)))
    raise BadInput(f"{file} has shape {list(array.shape)}, the model wants [{wanted}]")


def _picture(file: Path, model: ModelInfo, *, resize: bool) -> Bytes:
    """One picture file as [channels, height, width], 0..255."""
    if len(model.item_shape) != 3 or model.item_shape[0] not in (1, 3):
        raise BadInput(
            f"{file} is a picture; {model.summary.model} wants items of shape {list(model.item_shape)}: use .npy"
        )
    channels, height, width = model.item_shape
    wanted = "L" if channels == 1 else "RGB"
    picture = _open_picture(file, flatten=resize)
    if not resize and (picture.size != (width, height) or (picture.mode, wanted) == ("RGB", "L")):
        got = f"{picture.width}x{picture.height} in {COLOURS[picture.mode]}"
        raise BadInput(
            f"{file} is {got}, {model.summary.model} wants {width}x{height} in {COLOURS[wanted]}: --resize converts it"
        )
    pixels = np.asarray(_fit(picture.convert(wanted), width, height))
    return np.atleast_3d(pixels).transpose(2, 0, 1)


def _open_picture(file: Path, *, flatten: bool) -> "Image":
    """A picture as "RGB" if it has colour and "L" if not, the right way up; with `flatten`, on black."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            picture = ImageOps.exif_transpose(opened)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"{file} is no readable picture: {error}") from error
    if picture.mode.startswith(("I", "F")):
        raise BadInput(f"{file} has more than 8 bits a pixel: save it with 8, or use .npy")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if np.asarray(picture)[:, :, 3].min() < 255:
            if not flatten:
                raise BadInput(f"{file} is transparent: --resize puts it on black")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    pixels = np.asarray(picture.convert("RGB"))
    is_grey = (pixels == pixels[:, :, :1]).all()
    return Image.fromarray(pixels[:, :, 0] if is_grey else pixels)


def _fit(picture: "Image", width: int, height: int) -> "Image":
    """The whole picture, scaled to the size wanted with its proportions kept, on black."""
    from PIL import Image, ImageOps

    if picture.size == (width, height):
        return picture
    return ImageOps.pad(picture, (width, height), method=Image.Resampling.LANCZOS)
