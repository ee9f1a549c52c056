"""Serialised requests of our own API, several for each cell: seeds and rows differ from call to call."""

import numpy as np

from bench.cells import Cell
from vaeserve.tensors import from_items
from vaeserve.v1 import vaeserve_pb2 as pb

SERVICE = "/vaeserve.v1.VaeService"
NO_OP = "/grpc.health.v1.Health/Check"  # whose request is empty
VARIANTS = 16


def method(cell: Cell) -> str:
    return f"{SERVICE}/{cell.operation}"


def requests(cell: Cell, item_shape: tuple[int, ...], *, variants: int = VARIANTS) -> list[bytes]:
    """Requests of `cell.rows` rows; items are float32 in 0..1."""
    if cell.operation == "Sample":
        return [pb.SampleRequest(count=cell.rows, seed=seed).SerializeToString() for seed in range(variants)]
    kind = pb.EncodeRequest if cell.operation == "Encode" else pb.ReconstructRequest
    draws = np.random.default_rng(0)
    batches = (draws.random((cell.rows, *item_shape), np.float32) for _ in range(variants))
    return [kind(items=from_items(batch)).SerializeToString() for batch in batches]


def rubbish(item_shape: tuple[int, ...]) -> bytes:
    """A request to encode one row that lacks its last value."""
    return pb.EncodeRequest(
        items=from_items(np.zeros((1, *item_shape[:-1], item_shape[-1] - 1), np.float32))
    ).SerializeToString()
