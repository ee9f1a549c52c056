"""Walks through latent space: latents [rows, latent] for `decode`, made of latents that `encode` or `sample` gave."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaeserve.errors import InvalidInput
from vaeserve.tensors import Floats

Doubles: TypeAlias = NDArray[np.float64]


def interpolate(start: ArrayLike, end: ArrayLike, steps: int) -> Floats:
    """The way from one latent to another along the sphere, both ends included; [steps, latent].

    Spherical interpolation (slerp; Shoemake 1985): a straight line between draws of N(0, I) would pass nearer the
    origin than any draw lies, the arc keeps the length in between. Where the two point the same or opposite ways, or
    one is zero, no arc is better than another, and the way is straight.

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
    way: Doubles
    if np.sin(angle) < 1e-6:
        way = (1.0 - t) * a + t * b
    else:
        way = (np.sin((1.0 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return way.astype(np.float32)


def latent_arithmetic(base: ArrayLike, *, plus: ArrayLike, minus: ArrayLike) -> Floats:
    """base + mean(plus) - mean(minus): each of `base` moved by what tells the one group from the other; [rows, latent].

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
    """One latent with one of its values replaced by each of `values`, to see what that value means; [values, latent].

    latent      [latent]
    dimension   which of its values, from 0

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
