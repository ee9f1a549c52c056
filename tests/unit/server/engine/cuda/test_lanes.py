"""A graph on a GPU runs in fixed sizes and fixed buffers; a fake GPU shows which rows are where."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from server.core.arrays import Floats
from server.engine.cuda.lanes import RUNS_TO_WARM, CudaGraph, Lane, ThreadLane, size_for
from server.engine.graph import LoadedGraph

ROW = 3  # values


class FakeBuffers:
    """Computes tens and hundreds of its rows, into memory that the next run uses again."""

    def __init__(self, size: int, during_run: Callable[[Floats], None]) -> None:
        self.rows = np.full((size, ROW), np.nan, np.float32)
        self.threads: list[int] = []
        self._outputs = (np.empty((size, ROW), np.float32), np.empty(size, np.float32))
        self._during_run = during_run

    def run(self) -> tuple[Floats, ...]:
        self.threads.append(threading.get_ident())
        self._during_run(self.rows)
        self._outputs[0][...] = self.rows * 10
        self._outputs[1][...] = self.rows[:, 0] * 100
        return self._outputs


class FakeGpu:
    """Makes a graph and records every buffer that the graph asked for."""

    def __init__(self, *, lane: Callable[..., Lane | ThreadLane] = Lane) -> None:
        self.lanes: list[list[FakeBuffers]] = []
        self.during_run: Callable[[Floats], None] = lambda rows: None
        self.graph = CudaGraph("decoder", "CUDAExecutionProvider", make_lane=lambda: self._lane(lane))

    def _run(self, rows: Floats) -> None:
        self.during_run(rows)

    def _lane(self, lane: Callable[..., Lane | ThreadLane]) -> Lane | ThreadLane:
        made: list[FakeBuffers] = []
        self.lanes.append(made)

        def make(size: int) -> FakeBuffers:
            made.append(FakeBuffers(size, self._run))
            return made[-1]

        return lane(make, name="fake") if lane is ThreadLane else lane(make)


def rows_of(*values: float) -> Floats:
    return np.repeat(np.array(values, np.float32)[:, None], ROW, axis=1)


@pytest.fixture(params=[Lane, ThreadLane], ids=["lane", "lane with a thread"])
def gpu(request):
    return FakeGpu(lane=request.param)


def test_a_graph_on_a_gpu_is_a_loaded_graph(gpu):
    graph: LoadedGraph = gpu.graph
    assert (graph.name, graph.provider, graph.threads) == ("decoder", "CUDAExecutionProvider", 1)


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (48, 64), (64, 64), (65, 128)])
def test_rows_run_in_the_next_power_of_two(rows, size):
    gpu = FakeGpu()
    gpu.graph(rows_of(*range(rows)))
    assert (size_for(rows), gpu.graph.padding(rows)) == (size, size - rows)
    assert [len(buffers.rows) for buffers in gpu.lanes[0]] == [size]


def test_a_caller_gets_its_rows_and_no_padding(gpu):
    tens, hundreds = gpu.graph(rows_of(1, 2, 3, 4, 5))
    np.testing.assert_array_equal(tens, rows_of(10, 20, 30, 40, 50))
    np.testing.assert_array_equal(hundreds, [100, 200, 300, 400, 500])


def test_padding_is_zero_and_not_what_a_larger_batch_left_behind(gpu):
    seen = []
    gpu.during_run = lambda rows: seen.append(rows.copy())
    gpu.graph(rows_of(1, 2, 3, 4))
    gpu.graph(rows_of(5, 6, 7))
    np.testing.assert_array_equal(seen[1], rows_of(5, 6, 7, 0))


def test_outputs_are_the_callers_own(gpu):
    first = gpu.graph(rows_of(1, 2))
    gpu.graph(rows_of(3, 4))
    np.testing.assert_array_equal(first[0], rows_of(10, 20))
    np.testing.assert_array_equal(first[1], [100, 200])


def test_warming_up_runs_every_size_on_a_lane_for_every_executor(gpu):
    gpu.graph.warm(rows_of(*range(48)), executors=2)
    assert [[len(buffers.rows) for buffers in lane] for lane in gpu.lanes] == [[1, 2, 4, 8, 16, 32, 64]] * 2
    assert {len(buffers.threads) for lane in gpu.lanes for buffers in lane} == {RUNS_TO_WARM}


def test_what_is_warm_is_not_warmed_again(gpu):
    gpu.graph.warm(rows_of(1, 2), executors=1)
    gpu.graph.warm(rows_of(1, 2, 3, 4), executors=2)
    assert [[len(buffers.threads) for buffers in lane] for lane in gpu.lanes] == [[RUNS_TO_WARM] * 3] * 2


def test_runs_at_the_same_time_do_not_mix_rows(gpu):
    both = threading.Barrier(2, timeout=30)

    def meet(_rows: Floats) -> None:
        both.wait()  # both have written their rows, and neither has read its outputs
        both.wait()

    gpu.during_run = meet
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(gpu.graph, rows_of(value, value + 1, value + 2)) for value in (1, 5)]
    np.testing.assert_array_equal(runs[0].result()[0], rows_of(10, 20, 30))
    np.testing.assert_array_equal(runs[1].result()[0], rows_of(50, 60, 70))
    assert len(gpu.lanes) == 2


def test_many_runs_need_no_more_lanes_than_run_at_once(gpu):
    with ThreadPoolExecutor(4) as pool:
        values = range(1, 201)
        results = list(pool.map(lambda value: gpu.graph(rows_of(*[value] * (value % 7 + 1))), values))
    for value, (tens, _) in zip(values, results, strict=True):
        np.testing.assert_array_equal(tens, rows_of(*[10 * value] * (value % 7 + 1)))
    assert len(gpu.lanes) <= 4


def test_a_failed_run_gives_its_buffers_back(gpu):
    def fail(rows: Floats) -> None:
        if rows[0, 0] == 13:
            raise RuntimeError("CUDA failure 700")

    gpu.during_run = fail
    for _ in range(3):
        with pytest.raises(RuntimeError, match="CUDA failure 700"):
            gpu.graph(rows_of(13))
    np.testing.assert_array_equal(gpu.graph(rows_of(2))[0], rows_of(20))
    assert [len(lane) for lane in gpu.lanes] == [1]


def test_a_failed_warm_up_gives_its_buffers_back(gpu):
    def fail(rows: Floats) -> None:
        raise RuntimeError("CUDA failure 900")

    gpu.during_run = fail
    with pytest.raises(RuntimeError, match="CUDA failure 900"):
        gpu.graph.warm(rows_of(1), executors=2)
    gpu.during_run = lambda rows: None
    gpu.graph.warm(rows_of(1), executors=2)
    assert len(gpu.lanes) == 2


def test_a_lane_with_a_thread_runs_only_on_that_thread():
    """onnxruntime keeps captured CUDA graphs for the thread that captured them."""
    gpu = FakeGpu(lane=ThreadLane)
    gpu.graph.warm(rows_of(1, 2), executors=1)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gpu.graph, rows_of(1)).result()
    threads = {thread for buffers in gpu.lanes[0] for thread in buffers.threads}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
