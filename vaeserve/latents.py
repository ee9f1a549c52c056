"""Paths through latent space: latents [rows, latent] for `decode`, made from those of `encode` or `sample`."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaeserve.errors import InvalidInput
from vaeserve.tensors import Floats

Doubles: TypeAlias = NDArray[np.float64]


def interpolate(start: ArrayLike, end: ArrayLike, steps: int) -> Floats:
    """The path from one latent to another along the sphere, both ends included; [steps, latent].

    Spherical interpolation (slerp; Shoemake 1985): a straight line between draws of N(0, I) would pass nearer the
    origin than any draw lies; the arc keeps the length in between. The path is straight if one latent is zero or if the
    two have the same or opposite directions, since no arc is then better than another.

    start, end   [latent]
    steps        2 or more

    Raises InvalidInput.
    """
    a, b = _latent("start", start), _latent("end", end)
    if a.shape != b.shape:
        raise InvalidInput.field("end", f"must have {len(a)} values as start has, got {len(b)}")
    if steps < 2:
        raise InvalidInput.field("steps", f"must be 2 or more, got {steps}")
    t = np.linspace(0.0, 1.0, steps)[:, np.newaxis]
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    angle = float(np.arccos(np.clip(a @ b / lengths, -1.0, 1.0))) if lengths > 0 else 0.0
    path: Doubles
    if np.sin(angle) < 1e-6:
        path = (1.0 - t) * a + t * b
    else:
        path = (np.sin((1.0 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return path.astype(np.float32)


def latent_arithmetic(base: ArrayLike, *, plus: ArrayLike, minus: ArrayLike) -> Floats:
    """base + mean(plus) - mean(minus), [rows, latent]: each row of `base`, moved by the difference of the two groups.

    base, plus, minus   [rows, latent]

    Raises InvalidInput.
    """
    moved, more, less = (_latents(name, rows) for name, rows in (("base", base), ("plus", plus), ("minus", minus)))
    for name, rows in (("plus", more), ("minus", less)):
        if rows.shape[1] != moved.shape[1]:
            raise InvalidInput.field(name, f"must have {moved.shape[1]} values a row as base has, got {rows.shape[1]}")
    result: Doubles = moved + more.mean(axis=0) - less.mean(axis=0)
    return result.astype(np.float32)


def traverse(latent: ArrayLike, dimension: int, values: Sequence[float] | Floats) -> Floats:
    """Copies of one latent in which one dimension takes each of `values`, to see what it means; [values, latent].

    latent      [latent]
    dimension   index of that dimension, from 0

    Raises InvalidInput.
    """
    base = _latent("latent", latent)
    if not 0 <= dimension < len(base):
        raise InvalidInput.field("dimension", f"must be 0..{len(base) - 1}, got {dimension}")
    if not len(values):
        raise InvalidInput.field("values", "must hold at least one value")
    rows = np.tile(base, (len(values), 1))
    rows[:, dimension] = values
    return rows.astype(np.float32)


def _latent(field: str, values: ArrayLike) -> Doubles:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not array.size:
        raise InvalidInput.field(field, f"must be one latent, [latent], got shape {list(array.shape)}")
    return array


def _latents(field: str, values: ArrayLike) -> Doubles:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or not array.size:
        raise InvalidInput.field(field, f"must be latents, [rows, latent], got shape {list(array.shape)}")
    return array
