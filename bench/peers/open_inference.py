"""Requests of the Open Inference Protocol (KServe v2, gRPC), serialised by hand.

They have few fields. Generated classes would clash with those of other packages in one process.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SERVICE = "/inference.GRPCInferenceService"
INFER = f"{SERVICE}/ModelInfer"
DATATYPES = {"float32": "FP32", "int64": "INT64"}
DELIMITED = 2  # the wire type of bytes, texts, messages and packed numbers


def infer_request(model: str, inputs: Mapping[str, NDArray[np.generic]]) -> bytes:
    """ModelInferRequest with model_name = 1, inputs = 5, raw_input_contents = 7."""
    tensors = b"".join(_bytes(5, _tensor(name, array)) for name, array in inputs.items())
    contents = b"".join(_bytes(7, array.tobytes()) for array in inputs.values())
    return _bytes(1, model.encode()) + tensors + contents


def _tensor(name: str, array: NDArray[np.generic]) -> bytes:
    """InferInputTensor with name = 1, datatype = 2, shape = 3, packed."""
    shape = b"".join(map(_varint, array.shape))
    return _bytes(1, name.encode()) + _bytes(2, DATATYPES[array.dtype.name].encode()) + _bytes(3, shape)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | DELIMITED) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """A varint: seven bits a byte, least significant first; the high bit says that more bytes follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
