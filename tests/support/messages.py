"""Requests that several tests send."""

import numpy as np

from vaeserve.v1 import vaeserve_pb2 as pb

SERVICE = "vaeserve.v1.VaeService"
SAMPLE = f"/{SERVICE}/Sample"
WIDE, LARGE = pb.ModelSelector(name="wide"), pb.ModelSelector(name="large")


def items(rows: int, shape: tuple[int, ...] = (1, 4, 4)) -> pb.Tensor:
    """Valid rows, no two of them equal."""
    values = np.random.default_rng(0).random((rows, *shape), np.float32)
    return pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=values.shape, data=values.tobytes())


def sample(**fields: object) -> bytes:
    """A Sample request in its wire form."""
    return pb.SampleRequest(**{"count": 1, "seed": 1, **fields}).SerializeToString()


def frame(message: bytes, *, flag: int = 0) -> bytes:
    """A message as gRPC's body holds it."""
    return bytes([flag]) + len(message).to_bytes(4, "big") + message
