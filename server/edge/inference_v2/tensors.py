"""Tensors of requests and responses, as raw bytes or typed contents.

Nothing is allocated for a tensor before its type, shape and size agree.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from server.core.arrays import Floats
from server.core.batching.offload import Offload
from server.core.spec import Spec
from server.edge import wire
from server.edge.inference_v2 import open_inference_pb2 as pb
from server.edge.inference_v2 import parameters
from server.errors import InvalidInput

T = TypeVar("T")
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tensor:
    """The description of one tensor of a model."""

    name: str
    datatype: str  # FP32, INT64
    row_shape: tuple[int, ...]
    per_row: bool = True  # whether a dimension of rows comes before row_shape
    accepts: tuple[str, ...] = ()  # every datatype that an input may have
    optional: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return (-1, *self.row_shape) if self.per_row else self.row_shape


@dataclass(frozen=True, slots=True)
class _Element:
    """How a datatype's elements are stored: in raw bytes, and in which field of typed contents."""

    dtype: np.dtype[Any]
    field: str
    field_dtype: np.dtype[Any]


_ELEMENTS = {
    "FP32": _Element(np.dtype("<f4"), "fp32_contents", np.dtype(np.float32)),
    "INT64": _Element(np.dtype("<i8"), "int64_contents", np.dtype(np.int64)),
    "UINT8": _Element(np.dtype(np.uint8), "uint_contents", np.dtype(np.uint32)),
}
_FIELDS = {element.dtype.newbyteorder("="): (name, element.field) for name, element in _ELEMENTS.items()}


class Inputs:
    """The inputs of one request, by name. Reading one checks it completely."""

    def __init__(
        self,
        request: pb.ModelInferRequest,
        expected: Sequence[Tensor],
        *,
        offload: Offload,
        max_rows: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises InvalidInput unless the request has the expected tensors, each with one set of elements.

        Typed contents are read on the threads of `offload`, as Python reads them one by one.
        """
        self.raw = len(request.raw_input_contents) > 0
        self.seconds = 0.0  # time spent on reading so far
        self._request = request
        self._offload, self._max_rows, self._clock = offload, max_rows, clock
        self._expected = {tensor.name: tensor for tensor in expected}
        self._places: dict[str, int] = {}
        for place, tensor in enumerate(request.inputs):
            name = named("inputs", tensor.name, self._expected)
            if name in self._places:
                raise InvalidInput("inputs", f"must name {name} once, got it twice")
            parameters.refuse_all(name, tensor.parameters)
            if self.raw and tensor.HasField("contents"):
                raise InvalidInput(f"{name}.contents", "must be absent where raw_input_contents is used")
            self._places[name] = place
        for tensor_expected in expected:
            if not tensor_expected.optional and tensor_expected.name not in self._places:
                raise InvalidInput("inputs", f"must have {tensor_expected.name}")
        if self.raw and len(request.raw_input_contents) != len(request.inputs):
            raise InvalidInput(
                "raw_input_contents",
                f"must hold one entry for each of {len(request.inputs)} inputs, got {len(request.raw_input_contents)}",
            )

    async def items(self, name: str, spec: Spec) -> Floats:
        """float32 [rows, *item] in the model's value range. Raises InvalidInput."""
        shape = self._rows(name, spec.item_shape)
        return await self._read(lambda: wire.item_values(name, self._elements(name, shape), spec))

    async def latents(self, name: str, spec: Spec) -> Floats:
        """Finite float32 [rows, latent]. Raises InvalidInput."""
        shape = self._rows(name, (spec.latent_size,))

        def checked() -> Floats:
            values: Floats = self._elements(name, shape)
            wire.check_values(name, values, None)
            return values

        return await self._read(checked)

    def integer(self, name: str, *, least: int, most: int) -> int | None:
        """The integer in a tensor [1]; None if the tensor is absent. Raises InvalidInput."""
        value = self._number(name)
        return None if value is None else wire.integer(name, int(value), least=least, most=most)

    def temperature(self, name: str) -> float | None:
        """The temperature in a tensor [1]; None if the tensor is absent. Raises InvalidInput."""
        value = self._number(name)
        return None if value is None else wire.temperature_value(float(value))

    def _number(self, name: str) -> Any:
        if name not in self._places:
            return None
        tensor = self._checked(name)
        if tuple(tensor.shape) != (1,):
            raise InvalidInput(f"{name}.shape", f"must be [1], got {wire.shown(tensor.shape)}")
        return self._elements(name, (1,))[0]

    def _rows(self, name: str, row_shape: tuple[int, ...]) -> tuple[int, ...]:
        return wire.rows_shape(name, self._checked(name).shape, row_shape, max_rows=self._max_rows)

    def _checked(self, name: str) -> pb.ModelInferRequest.InferInputTensor:
        tensor = self._request.inputs[self._places[name]]
        accepts = self._expected[name].accepts
        if tensor.datatype not in accepts:
            raise InvalidInput(
                f"{name}.datatype", f"must be {' or '.join(accepts)}, got {parameters.quoted(tensor.datatype)}"
            )
        return tensor

    async def _read(self, work: Callable[[], T]) -> T:
        began = self._clock()
        if self.raw:
            result = work()
        else:
            result = await self._offload.run(work)
        self.seconds += self._clock() - began
        return result

    def _elements(self, name: str, shape: tuple[int, ...]) -> Array:
        place = self._places[name]
        tensor = self._request.inputs[place]
        element = _ELEMENTS[tensor.datatype]
        if self.raw:
            data = self._request.raw_input_contents[place]  # a copy of the message's bytes at every access
            size = math.prod(shape) * element.dtype.itemsize
            if len(data) != size:
                raise InvalidInput(f"{name}.data", f"must be {size} bytes for shape {list(shape)}, got {len(data)}")
            return np.frombuffer(data, element.dtype).reshape(shape)
        return _typed(name, tensor.contents, element, shape)


def _typed(name: str, contents: pb.InferTensorContents, element: _Element, shape: tuple[int, ...]) -> Array:
    others = [field.name for field, _ in contents.ListFields() if field.name != element.field]
    if others:
        raise InvalidInput(f"{name}.contents", f"must be in {element.field}, got {', '.join(others)}")
    elements = getattr(contents, element.field)
    size = math.prod(shape)
    if len(elements) != size:
        raise InvalidInput(
            f"{name}.contents", f"must have {size} elements for shape {list(shape)}, got {len(elements)}"
        )
    values = np.fromiter(elements, element.field_dtype, count=size).reshape(shape)
    if element.dtype == np.uint8 and values.max() > 255:
        raise InvalidInput(f"{name}.contents", f"must be 0..255, got {values.max()}")
    return values.astype(element.dtype, copy=False)


def wanted(
    requested: Iterable[pb.ModelInferRequest.InferRequestedOutputTensor], offered: Sequence[Tensor]
) -> tuple[str, ...]:
    """The names of the requested outputs; all outputs if the request names none. Raises InvalidInput."""
    known = {tensor.name: tensor for tensor in offered}
    names: dict[str, None] = {}
    for output in requested:
        name = named("outputs", output.name, known)
        if name in names:
            raise InvalidInput("outputs", f"must name {name} once, got it twice")
        parameters.refuse_all(name, output.parameters)
        names[name] = None
    return tuple(names or known)


def write(response: pb.ModelInferResponse, outputs: Mapping[str, Callable[[], Array]], *, raw: bool) -> None:
    """Set the outputs of a response, in this order."""
    for name, made in outputs.items():
        array = made()
        datatype, field = _FIELDS[array.dtype]
        tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        else:
            getattr(tensor.contents, field).extend(array.ravel().tolist())


def named(field: str, name: str, known: Iterable[str]) -> str:
    """Return the name if it is known. Raises InvalidInput."""
    if name not in known:
        raise InvalidInput(field, f"must be {', '.join(known)}, got {parameters.quoted(name)}")
    return name
