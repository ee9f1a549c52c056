"""Results as torch tensors, if torch is installed. No other file of the client imports torch."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


class Torchable:
    """A result that can return its arrays as torch tensors."""

    __slots__ = ()

    def torch(self) -> "dict[str, Tensor]":
        """Every array of this result by its name, as a CPU tensor with its own memory.

        Raises ImportError if torch is not installed; the client does not require it.
        """
        import torch

        arrays: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: torch.tensor(array) for name, array in arrays.items() if isinstance(array, np.ndarray)}
