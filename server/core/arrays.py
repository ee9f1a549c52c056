"""The array types of the whole server, named once, and the one reduction they share."""

from collections.abc import Callable
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
