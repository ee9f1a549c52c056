"""What the allocator keeps in reserve of the memory that was freed."""

import ctypes


def give_back() -> None:
    """Hand it to the system, where the allocator can be told to: glibc would keep most of an unloaded model."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
