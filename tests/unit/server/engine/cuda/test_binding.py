"""Bound buffers on onnxruntime's CPU provider, by the same calls as on a GPU."""

import ctypes

import numpy as np
import pytest
from support.artifacts import write_artifact

from server import artifact
from server.engine import engine
from server.engine.cuda.binding import BoundBuffers
from server.engine.cuda.lanes import CudaGraph, Lane
from server.engine.cuda.pinned_memory import PinnedMemory


@pytest.fixture
def verified(tmp_path):
    return artifact.read(write_artifact(tmp_path / "m" / "1"))


def zeros(shape):
    return np.zeros(shape, np.float32)


@pytest.fixture(params=[False, True], ids=["host outputs", "device outputs"])
def buffers_for(request, verified):
    session = engine._session(verified, "decoder", 1, ["CPUExecutionProvider"])
    return lambda rows: BoundBuffers(session, rows, device="cpu", allocate=zeros, captured=request.param)


def test_bound_buffers_compute_what_a_plain_run_computes(verified, buffers_for):
    buffers = buffers_for(4)
    plain = engine.load(verified).graphs["decoder"]
    for seed in (0, 1):  # the second run reads the second rows
        z = np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32)
        buffers.rows[...] = z
        for got, expected in zip(buffers.run(), plain(z), strict=True):
            assert got.tobytes() == expected.tobytes()


def test_a_graph_in_fixed_sizes_computes_what_one_in_any_size_computes(verified, buffers_for):
    graph = CudaGraph("decoder", "CPUExecutionProvider", make_lane=lambda: Lane(buffers_for))
    plain = engine.load(verified).graphs["decoder"]
    z = np.random.default_rng(0).standard_normal((16, 3)).astype(np.float32)
    graph.warm(z, executors=2)
    kept = [(rows, graph(z[:rows])) for rows in (16, 1, 3, 5, 8, 11)]
    for rows, outputs in kept:
        for got, expected in zip(outputs, plain(z[:rows]), strict=True):
            assert got.tobytes() == expected.tobytes()


class FakeCudaRuntime:
    """cudaHostAlloc and cudaFreeHost over ordinary memory."""

    def __init__(self, *, status=0):
        self.memory = {}
        self._status = status

    def cudaHostAlloc(self, address, size, flags):  # noqa: N802  CUDA's name
        if self._status == 0:
            block = ctypes.create_string_buffer(b"\xff" * size.value, size.value)
            address._obj.value = ctypes.addressof(block)
            self.memory[ctypes.addressof(block)] = block
        return self._status

    def cudaFreeHost(self, address):  # noqa: N802
        del self.memory[address.value]
        return 0


def test_pinned_memory_is_zeroed_and_lives_as_long_as_its_array():
    cudart = FakeCudaRuntime()
    array = PinnedMemory(cudart)((2, 3))
    assert (array.shape, array.dtype) == ((2, 3), np.float32)
    np.testing.assert_array_equal(array, np.zeros((2, 3)))
    row = array[1]
    del array
    assert len(cudart.memory) == 1
    del row
    assert cudart.memory == {}


def test_pinned_memory_that_cannot_be_allocated_is_an_error_with_cudas_number():
    with pytest.raises(MemoryError, match="cudaHostAlloc of 24 bytes: CUDA error 2"):
        PinnedMemory(FakeCudaRuntime(status=2))((2, 3))
