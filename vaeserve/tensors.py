"""numpy arrays to and from the API's Tensor, and the client's names for array types."""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from vaeserve.errors import InvalidInput
from vaeserve.v1 import vaeserve_pb2 as pb

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]
Items: TypeAlias = Floats | Bytes

Field: TypeAlias = Literal["items", "latents"]


def from_items(items: ArrayLike) -> pb.Tensor:
    """Items as they are: uint8 stays uint8, floats of any width become float32.

    Raises InvalidInput for other types: integers could mean 0..255 or the model's range.
    """
    array = _array("items", items)
    if array.dtype == np.uint8:
        return _tensor(pb.DATA_TYPE_UINT8, array, np.uint8)
    return _floats("items", array, remedy="; .astype('uint8') means 0..255, .astype('float32') the model's range")


def from_latents(latents: ArrayLike) -> pb.Tensor:
    """Latents [rows, latent]; floats of any width become float32. Raises InvalidInput for other types."""
    return _floats("latents", _array("latents", latents), remedy="")


def to_array(tensor: pb.Tensor) -> Items:
    """A read-only view of a tensor's bytes."""
    if tensor.dtype == pb.DATA_TYPE_UINT8:
        return np.frombuffer(tensor.data, np.uint8).reshape(tuple(tensor.shape))
    return to_floats(tensor)


def to_floats(tensor: pb.Tensor) -> Floats:
    """A read-only view of the bytes of a tensor that the API declares FLOAT32."""
    return np.frombuffer(tensor.data, "<f4").reshape(tuple(tensor.shape))


def _array(field: Field, values: ArrayLike) -> NDArray[np.generic]:
    """Anything array-like as an array with an axis of rows."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:  # e.g. rows of different lengths, a tensor on a GPU
        raise InvalidInput.field(field, f"must be an array: {error}") from error
    if array.ndim < 2:
        wanted = f"axis 0 is rows, so that one row is {field}[None]"
        raise InvalidInput.field(field, f"must have 2 dimensions or more, got shape {list(array.shape)}: {wanted}")
    return array


def _floats(field: Field, array: NDArray[np.generic], *, remedy: str) -> pb.Tensor:
    if not np.issubdtype(array.dtype, np.floating):
        kinds = "uint8 or floats" if field == "items" else "floats"
        raise InvalidInput.field(field, f"must be {kinds}, got {array.dtype}{remedy}")
    with np.errstate(over="ignore"):  # an overflow becomes infinity, and the server's error names it
        return _tensor(pb.DATA_TYPE_FLOAT32, array, "<f4")


def _tensor(dtype: pb.DataType, array: NDArray[np.generic], wire_dtype: DTypeLike) -> pb.Tensor:
    return pb.Tensor(dtype=dtype, shape=array.shape, data=array.astype(wire_dtype, copy=False).tobytes())
