"""Page-locked (pinned) host memory, which a GPU copies directly, without the driver's intermediate buffers.

onnxruntime's Python interface cannot allocate it, so it comes from the CUDA runtime, which is loaded anyway.
"""

import ctypes
import math
import weakref
from typing import Any

import numpy as np

from server.core.arrays import Floats

PORTABLE = 1  # cudaHostAllocPortable: page-locked for every CUDA context


class PinnedMemory:
    """Allocates arrays in page-locked memory, freed with their last reference; implements binding.Allocate."""

    def __init__(self, cudart: Any) -> None:
        """`cudart` is the CUDA runtime as a ctypes library."""
        self._cudart = cudart

    def __call__(self, shape: tuple[int, ...]) -> Floats:
        """A float32 array of zeros. Raises MemoryError."""
        count, address = math.prod(shape), ctypes.c_void_p()
        status = self._cudart.cudaHostAlloc(ctypes.byref(address), ctypes.c_size_t(4 * count), ctypes.c_uint(PORTABLE))
        if status or not address.value:
            raise MemoryError(f"cudaHostAlloc of {4 * count} bytes: CUDA error {status}")
        memory = (ctypes.c_float * count).from_address(address.value)
        # At exit the driver frees all memory itself, perhaps before Python would call cudaFreeHost.
        weakref.finalize(memory, self._cudart.cudaFreeHost, address).atexit = False
        array: Floats = np.ctypeslib.as_array(memory).reshape(shape)
        array[...] = 0.0
        return array


def cuda_runtime(version: str) -> ctypes.CDLL:
    """The CUDA runtime of a version such as "12.8", by the name that onnxruntime loads it by. Raises OSError."""
    return ctypes.CDLL(f"libcudart.so.{version.partition('.')[0]}")
