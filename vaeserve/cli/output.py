"""The file of --out: its ending says whether a command writes a picture or arrays."""

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import click
import numpy as np

from vaeserve import grid
from vaeserve.calls import Encoding
from vaeserve.cli.connection import BadInput
from vaeserve.results import ModelInfo
from vaeserve.tensors import Items

if TYPE_CHECKING:
    from PIL.Image import Image

Arrays: TypeAlias = Mapping[str, np.ndarray[Any, Any]]

MAX_PICTURE_ROWS = 10_000

columns = click.option("--columns", type=click.IntRange(min=1), help="Items in a line of the picture.")


@dataclass(frozen=True, slots=True)
class Output:
    """The file to write. It appears whole or not at all."""

    path: Path

    @property
    def is_picture(self) -> bool:
        return self.path.suffix.lower() == ".png"

    def encoding(self, model: ModelInfo) -> Encoding:
        """The encoding to ask for: uint8 is enough for a picture, if the model's value range is bounded."""
        bounded = model.value_min is not None and model.value_max is not None
        return "uint8" if self.is_picture and bounded else "float32"

    def require_pictures(self, model: ModelInfo, *, rows: int) -> None:
        """Raises BadInput if this is a picture, and the items are not pictures or too many for one."""
        if not self.is_picture:
            return
        if len(model.item_shape) != 3 or model.item_shape[0] not in (1, 3):
            shape = list(model.item_shape)
            raise BadInput(
                f"items of {model.summary.model} have shape {shape}, no grey or RGB picture: use --out X.npy"
            )
        if rows > MAX_PICTURE_ROWS:
            raise BadInput(f"a picture holds {MAX_PICTURE_ROWS} rows at most, got {rows}: use --out X.npy")

    def write_arrays(self, arrays: Arrays) -> None:
        """Write all arrays to an .npz, or the first alone to an .npy."""
        if self.path.suffix.lower() == ".npz":
            self._write(lambda file: np.savez(file, allow_pickle=False, **arrays))
        else:
            self._write(lambda file: np.save(file, next(iter(arrays.values())), allow_pickle=False))

    def write_items(
        self, items: Items, model: ModelInfo, *, columns: int | None, **others: np.ndarray[Any, Any]
    ) -> None:
        """Write the items as a picture, or as an array together with the others, by the file's ending."""
        if self.is_picture:
            self.write_picture(picture(items, model, columns=columns))
        else:
            self.write_arrays({"items": items, **others})

    def write_rows(self, chunks: Iterable[np.ndarray[Any, Any]], *, shape: tuple[int, ...]) -> None:
        """Write an .npy of this shape, float32, from chunks of rows. Only one chunk is in memory at a time."""
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}

        def save(file: IO[bytes]) -> None:
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in chunks:
                file.write(chunk.astype("<f4", copy=False).tobytes())

        self._write(save)

    def write_picture(self, picture: "Image") -> None:
        self._write(lambda file: picture.save(file, "PNG"))

    def _write(self, save: Callable[[IO[bytes]], None]) -> None:
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            with part.open("xb") as file:
                save(file)
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)


def writing(
    *, default: str, endings: tuple[str, ...], what: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command --out and --force, which reach it as `out`, an Output. `what` is the help of --out."""

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @click.option(
            "--out", "path", type=click.Path(path_type=Path, dir_okay=False), default=default, show_default=True,
            help=what,
        )  # fmt: skip
        @click.option("--force", is_flag=True, help="Overwrite the file.")
        @functools.wraps(command)
        def run(*args: object, path: Path, force: bool, **options: object) -> None:
            _check(path, endings=endings, force=force)
            command(*args, out=Output(path), **options)

        return run

    return decorated


def picture(items: Items, model: ModelInfo, *, columns: int | None, under: Items | None = None) -> "Image":
    """A grid of a model's items, each above its partner in `under` if that is given."""
    return grid.picture(items, under=under, columns=columns, value_range=_shown_range(items, model))


def _check(path: Path, *, endings: tuple[str, ...], force: bool) -> None:
    if path.suffix.lower() not in endings:
        raise BadInput(f"--out must end in {' or '.join(endings)}, got {path}")
    if not path.parent.is_dir():
        raise BadInput(f"--out: there is no folder {path.parent}")
    if path.exists() and not force:
        raise BadInput(f"{path} exists: pass --force to overwrite it, or another --out")


def _shown_range(items: Items, model: ModelInfo) -> tuple[float, float]:
    """The values shown as black and white: the model's bounds, or else the least and greatest present."""
    low = float(items.min()) if model.value_min is None else model.value_min
    high = float(items.max()) if model.value_max is None else model.value_max
    return low, max(high, low + 1e-6)
