"""The array types of the whole server, named once."""

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
