"""Requests and answers of the Open Inference Protocol as numpy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from server.edge.inference_v2 import open_inference_pb2 as pb

INFER = "/inference.GRPCInferenceService/ModelInfer"
DATATYPES = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8", "float16": "FP16"}
FIELDS = {"FP32": "fp32_contents", "INT64": "int64_contents", "UINT8": "uint_contents"}


def infer_request(
    model: str,
    inputs: Mapping[str, np.ndarray],
    *,
    raw: bool = True,
    version: str = "",
    outputs: Sequence[str] = (),
    **parameters: Any,
) -> Any:
    """A ModelInferRequest; integers among the parameters are sent as int64_param."""
    request = pb.ModelInferRequest(model_name=model, model_version=version, id="mine")
    for name, array in inputs.items():
        tensor = request.inputs.add(name=name, datatype=DATATYPES[array.dtype.name], shape=array.shape)
        if raw:
            request.raw_input_contents.append(array.tobytes())
        else:
            getattr(tensor.contents, FIELDS[tensor.datatype]).extend(array.ravel().tolist())
    for name in outputs:
        request.outputs.add(name=name)
    for name, value in parameters.items():
        kind = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}[type(value)]
        setattr(request.parameters[name], kind, value)
    return request


def arrays(response: Any) -> dict[str, np.ndarray]:
    """The outputs by name, in their order, raw or typed as they came."""
    dtypes = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}
    result = {}
    for place, tensor in enumerate(response.outputs):
        if response.raw_output_contents:
            flat = np.frombuffer(response.raw_output_contents[place], dtypes[tensor.datatype])
        else:
            flat = np.array(getattr(tensor.contents, FIELDS[tensor.datatype]), dtypes[tensor.datatype])
        result[tensor.name] = flat.reshape(tuple(tensor.shape))
    return result
