"""Turns messages of VaeService into checked arrays and arrays into messages (inference_v2.tensors does its own).

Requests are checked completely. Nothing is allocated for a tensor before its shape, type and byte length agree.
"""

import io
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from server.core.arrays import Bytes, Floats
from server.core.spec import Spec
from server.errors import InvalidInput
from vaeserve.v1 import vaeserve_pb2 as pb

MAX_SEED = 2**63 - 1
MAX_ROW = 2**48
MAX_DRAWS = 64
MAX_IMPORTANCE_SAMPLES, DEFAULT_IMPORTANCE_SAMPLES = 10_000, 64
MAX_SCORED_SAMPLES = 1 << 20  # importance samples of one request, over all its rows
MAX_TEMPERATURE = 4.0
MAX_SHOWN = 8  # dimensions that an error message quotes
PNG_CHANNELS = {1: "L", 3: "RGB"}
_IS_LITTLE = sys.byteorder == "little"
_ITEM_SIZE = {pb.DATA_TYPE_FLOAT32: 4, pb.DATA_TYPE_UINT8: 1}
_NUMBERS = {enum: frozenset(enum.values()) for enum in (pb.OutputMode, pb.LatentMode, pb.Encoding)}
_DATA_TYPE = {np.dtype(np.float32): pb.DATA_TYPE_FLOAT32, np.dtype(np.uint8): pb.DATA_TYPE_UINT8}


def integer(field: str, value: int, *, least: int, most: int) -> int:
    """Return the value if it is in bounds. Raises InvalidInput."""
    if not least <= value <= most:
        raise InvalidInput(field, f"must be {least}..{most}, got {value}")
    return value


def rows_at(first_row: int, *, rows: int) -> int:
    """Return the first row if all rows are below 2^48, the end of a seed's sequence. Raises InvalidInput."""
    return integer("first_row", first_row, least=0, most=MAX_ROW - rows)


def importance_samples(value: int, *, rows: int) -> int:
    """The draws for each row; 0 means the default. Raises InvalidInput."""
    value = value or DEFAULT_IMPORTANCE_SAMPLES
    integer("importance_samples", value, least=0, most=MAX_IMPORTANCE_SAMPLES)
    if value * rows > MAX_SCORED_SAMPLES:
        most = MAX_SCORED_SAMPLES // rows
        raise InvalidInput("importance_samples", f"must be at most {most} for {rows} rows, got {value}")
    return value


def temperature(request: pb.SampleRequest | pb.SampleStreamRequest) -> float:
    """The temperature, 1 if unset. Raises InvalidInput."""
    return temperature_value(request.temperature) if request.HasField("temperature") else 1.0


def temperature_value(value: float) -> float:
    """Return a temperature if it is in bounds. Raises InvalidInput."""
    if not 0.0 <= value <= MAX_TEMPERATURE:
        raise InvalidInput("temperature", f"must be 0..{MAX_TEMPERATURE:g}, got {value:g}")
    return value


def choice(field: str, value: int, enum: Any, *, default: int) -> int:
    """An enum's value, `default` if unspecified. Raises InvalidInput for a number without a name."""
    if value not in _NUMBERS[enum]:
        raise InvalidInput(field, f"must be one of {', '.join(enum.keys()[1:])}, got {value}")
    return value or default


def encoding(value: int, spec: Spec) -> int:
    """The encoding of the response's items, if it suits the model's items. Raises InvalidInput."""
    chosen = choice("encoding", value, pb.Encoding, default=pb.ENCODING_FLOAT32)
    if chosen != pb.ENCODING_FLOAT32 and spec.value_range is None:
        raise InvalidInput("encoding", "must be ENCODING_FLOAT32: this model's values are unbounded")
    if chosen == pb.ENCODING_PNG and not (spec.is_image and spec.item_shape[0] in PNG_CHANNELS):
        raise InvalidInput(
            "encoding", f"must not be ENCODING_PNG: items of shape {list(spec.item_shape)} are not grey or RGB images"
        )
    return chosen


def items(tensor: pb.Tensor, spec: Spec, *, max_rows: int) -> Floats:
    """Items as float32 [rows, *item] in the model's value range. Raises InvalidInput."""
    allowed = {pb.DATA_TYPE_FLOAT32} | ({pb.DATA_TYPE_UINT8} if spec.value_range else set())
    return item_values("items", _array("items", tensor, allowed, spec.item_shape, max_rows=max_rows), spec)


def item_values(field: str, values: Floats | Bytes, spec: Spec) -> Floats:
    """uint8 or float32 [rows, *item] as float32 in the model's value range. Raises InvalidInput."""
    if values.dtype == np.uint8:
        assert spec.value_range is not None
        low, high = spec.value_range
        # Divided before scaled, so that 0 and 255 land exactly on the ends of the range.
        return np.asarray(values / np.float32(255.0) * np.float32(high - low) + np.float32(low), np.float32)
    floats = np.asarray(values, np.float32)
    check_values(field, floats, spec.value_range)
    return floats


def latents(tensor: pb.Tensor, spec: Spec, *, max_rows: int) -> Floats:
    """Latents as float32 [rows, latent]. Raises InvalidInput."""
    values = _array("latents", tensor, {pb.DATA_TYPE_FLOAT32}, (spec.latent_size,), max_rows=max_rows)
    check_values("latents", values, None)
    return values


def put(field: pb.Tensor, array: Floats | Bytes) -> None:
    """Set a tensor field of a response in place. A separate message would have to be copied into the response."""
    field.dtype = _DATA_TYPE[array.dtype]
    field.shape.extend(array.shape)
    field.data = (array if _IS_LITTLE else array.byteswap()).tobytes()


def put_items(response: Any, values: Floats, spec: Spec, *, chosen: int) -> None:
    """Set `items` or `png` of a response from [rows, *item] in the model's value range."""
    if chosen == pb.ENCODING_FLOAT32:
        put(response.items, values)
    elif chosen == pb.ENCODING_UINT8:
        put(response.items, _to_bytes(values, spec))
    else:
        response.png.extend(_png(image) for image in _to_bytes(values, spec))


def rows_shape(field: str, got: Iterable[int], row_shape: tuple[int, ...], *, max_rows: int) -> tuple[int, ...]:
    """Return a tensor's shape if it holds 1..max_rows rows of `row_shape`. Raises InvalidInput."""
    shape = tuple(got)
    if len(shape) != 1 + len(row_shape) or shape[1:] != row_shape or not 1 <= shape[0] <= max_rows:
        wanted = ", ".join([f"1..{max_rows}", *map(str, row_shape)])
        raise InvalidInput(f"{field}.shape", f"must be [{wanted}], got {shown(shape)}")
    return shape


def shown(shape: Sequence[int]) -> str:
    """A shape for an error message, which goes into a header and must stay small."""
    return str(list(shape)) if len(shape) <= MAX_SHOWN else f"{len(shape)} dimensions"


def check_values(field: str, values: Floats, limits: tuple[float, float] | None) -> None:
    """Check that every value is finite and within the limits. Raises InvalidInput."""
    # Two passes are enough for valid values: a NaN makes minimum and maximum NaN, and fails every comparison.
    least, greatest = float(values.min()), float(values.max())
    low, high = limits or (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max))
    if low <= least and greatest <= high:
        return
    finite = np.isfinite(values)
    bad = ~finite if not finite.all() else (values < low) | (values > high)
    row = int(np.nonzero(bad.reshape(len(values), -1).any(axis=1))[0][0])
    first = float(values[row][bad[row]][0])
    wanted = f"{low:g}..{high:g}" if limits else "finite"
    raise InvalidInput(f"{field}.data", f"must be {wanted}, got {first:g} in row {row}")


def _array(
    field: str, tensor: pb.Tensor, allowed: set[pb.DataType], row_shape: tuple[int, ...], *, max_rows: int
) -> np.ndarray[Any, np.dtype[Any]]:
    """Check a tensor; return its elements as a read-only view of one copy of the message's bytes."""
    if tensor.dtype not in allowed:
        names = " or ".join(pb.DataType.Name(dtype) for dtype in sorted(allowed))
        got = pb.DataType.Name(tensor.dtype) if tensor.dtype in pb.DataType.values() else str(tensor.dtype)
        raise InvalidInput(f"{field}.dtype", f"must be {names}, got {got}")
    shape = rows_shape(field, tensor.shape, row_shape, max_rows=max_rows)
    size = math.prod(shape) * _ITEM_SIZE[tensor.dtype]
    data = tensor.data  # a copy of the message's bytes at every access
    if len(data) != size:
        raise InvalidInput(f"{field}.data", f"must be {size} bytes for shape {list(shape)}, got {len(data)}")
    dtype = np.dtype("<f4") if tensor.dtype == pb.DATA_TYPE_FLOAT32 else np.dtype(np.uint8)
    return np.frombuffer(data, dtype).reshape(shape)


def _to_bytes(values: Floats, spec: Spec) -> Bytes:
    """Map the value range to 0..255, rounded to nearest. Gaussian draws may lie outside the range and are clipped."""
    assert spec.value_range is not None
    low, high = spec.value_range
    scaled = (values - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def _png(image: Bytes) -> bytes:
    """One image [C, H, W] as a PNG file."""
    from PIL import Image  # imported late: it would slow down every start, and few callers want pictures

    mode = PNG_CHANNELS[len(image)]
    buffer = io.BytesIO()
    pixels = image[0] if mode == "L" else np.ascontiguousarray(image.transpose(1, 2, 0))
    # Level 1: higher levels gain little for small images, and a request may hold thousands.
    Image.fromarray(pixels, mode).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
