"""Results as torch tensors, for those who have torch: the one file of the client that knows of it."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


class Torchable:
    """A result whose arrays may be had as tensors."""

    __slots__ = ()

    def torch(self) -> "dict[str, Tensor]":
        """Every array of this result by its name, as a tensor on the CPU with memory of its own.

        Raises ImportError where torch is not installed; the client does not bring it.
        """
        import torch

        arrays: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: torch.tensor(array) for name, array in arrays.items() if isinstance(array, np.ndarray)}
