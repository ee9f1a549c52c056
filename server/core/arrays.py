"""Names for the server's numpy array types, and reductions over their rows."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Words: TypeAlias = NDArray[np.uint64]
Bytes: TypeAlias = NDArray[np.uint8]

# A graph as the batcher sees it: takes float32 rows, returns one float32 array with as many rows for each output.
RunGraph: TypeAlias = Callable[[Floats], tuple[Floats, ...]]


def row_sums(terms: Floats) -> Floats:
    """The sum of each row's values, [rows]. Double precision gives a row the same sum whatever rows are beside it."""
    return np.asarray(terms.reshape(len(terms), -1).sum(axis=1, dtype=np.float64), np.float32)


def rows_not_finite(arrays: Sequence[Floats]) -> int:
    """The number of rows with a NaN or an infinity in any of the arrays [rows, ...]."""
    # Cheap test first: a finite sum of squares has finite terms. Finite values may overflow it: then count by row.
    if all(math.isfinite(np.vdot(array, array)) for array in arrays):
        return 0
    finite = [np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in arrays]
    return int(np.count_nonzero(~np.logical_and.reduce(finite)))
