"""The array types of the whole server, named once, and the reductions they share."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Words: TypeAlias = NDArray[np.uint64]
Bytes: TypeAlias = NDArray[np.uint8]

# A graph as the batcher sees it: float32 rows in, one float32 array of as many rows per output.
RunGraph: TypeAlias = Callable[[Floats], tuple[Floats, ...]]


def row_sums(terms: Floats) -> Floats:
    """Sums over everything but rows, in double precision: a row's sum is the same in any company; [rows]."""
    return np.asarray(terms.reshape(len(terms), -1).sum(axis=1, dtype=np.float64), np.float32)


def rows_not_finite(arrays: Sequence[Floats]) -> int:
    """How many rows hold a NaN or an infinity in one of the arrays [rows, ...]."""
    # A sum of squares is finite where all is well, and cheap; where it overflows, the closer look says so.
    if all(math.isfinite(np.vdot(array, array)) for array in arrays):
        return 0
    finite = [np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in arrays]
    return int(np.count_nonzero(~np.logical_and.reduce(finite)))
