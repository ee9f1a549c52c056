"""The requests of a cell for a peer with models `sampler` (seed -> items) and `encoder` (x -> mean, log_var)."""

import numpy as np

from bench.cells import Cell
from bench.payloads import VARIANTS
from bench.peers.open_inference import infer_request

Shape = tuple[int, ...]


def requests(cell: Cell, item_shape: Shape) -> list[bytes]:
    """As many requests as ours, with items of the same values. Peers cannot reconstruct."""
    assert cell.operation != "Reconstruct", cell
    if cell.operation == "Sample":
        return [infer_request("sampler", {"seed": np.full((cell.rows, 1), seed)}) for seed in range(VARIANTS)]
    draws = np.random.default_rng(0)
    batches = (draws.random((cell.rows, *item_shape), np.float32) for _ in range(VARIANTS))
    return [infer_request("encoder", {"x": batch}) for batch in batches]


def rubbish(item_shape: Shape) -> bytes:
    """A request to encode one row that lacks its last value."""
    return infer_request("encoder", {"x": np.zeros((1, *item_shape[:-1], item_shape[-1] - 1), np.float32)})


def of_every_model(item_shape: Shape) -> list[bytes]:
    """One request to each model: a peer that answers both is ready."""
    return [requests(Cell("Sample", 1, 1), item_shape)[0], requests(Cell("Encode", 1, 1), item_shape)[0]]
