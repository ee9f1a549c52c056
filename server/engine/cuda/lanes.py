"""Runs a graph on a GPU in lanes: batches are padded to powers of two, and each size has fixed buffers.

With fixed sizes cuDNN chooses its algorithms once for each size. Fixed buffers are allocated once, can be page-locked,
and are what a captured CUDA graph needs. Each run borrows a lane: one set of buffers, for one run at a time. This
module imports neither onnxruntime nor CUDA; `engine.cuda.binding` makes the buffers.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeAlias

from server.core.arrays import Floats

# With CUDA graphs onnxruntime makes two ordinary runs of a size and captures the third. Without, one would do.
RUNS_TO_WARM = 3
# Held while warming: a capture fails if another thread uses the GPU at the same time.
_warming = threading.Lock()


class Buffers(Protocol):
    """Buffers for one run of a fixed number of rows."""

    @property
    def rows(self) -> Floats:
        """The input [size, ...], to be filled before a run."""

    def run(self) -> tuple[Floats, ...]:
        """Run; one array [size, ...] for each output, overwritten by the next run."""


MakeBuffers: TypeAlias = Callable[[int], Buffers]  # the argument is the number of rows


def size_for(rows: int) -> int:
    """The fixed size in which `rows` rows run: the next power of two."""
    return 1 << (rows - 1).bit_length()


class Lane:
    """One set of buffers of every size, for one run at a time."""

    def __init__(self, make_buffers: MakeBuffers) -> None:
        self._make_buffers = make_buffers
        self._buffers: dict[int, Buffers] = {}
        self._warm: set[int] = set()

    def __call__(self, rows: Floats) -> tuple[Floats, ...]:
        """Run rows [rows, ...]; one array [rows, ...] for each output, a copy."""
        size, count = size_for(len(rows)), len(rows)
        if size not in self._buffers:
            self._buffers[size] = self._make_buffers(size)
        buffers = self._buffers[size]
        buffers.rows[:count] = rows
        buffers.rows[count:] = 0.0
        return tuple(output[:count].copy() for output in buffers.run())

    def warm(self, rows: Floats) -> None:
        """Run every size up to that of `rows`, unless it is warm."""
        for power in range(size_for(len(rows)).bit_length()):
            if (size := 1 << power) not in self._warm:
                for _ in range(RUNS_TO_WARM):
                    self(rows[:size])
                self._warm.add(size)


class ThreadLane:
    """A lane that runs on a thread of its own: onnxruntime keeps captured CUDA graphs for one thread."""

    def __init__(self, make_buffers: MakeBuffers, *, name: str) -> None:
        self._lane = Lane(make_buffers)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def __call__(self, rows: Floats) -> tuple[Floats, ...]:
        return self._thread.submit(self._lane, rows).result()

    def warm(self, rows: Floats) -> None:
        self._thread.submit(self._lane.warm, rows).result()


class CudaGraph:
    """One graph on a GPU; implements graph.LoadedGraph. Calls from several threads at once are safe."""

    threads = 1  # CPU threads inside a run: one, which only waits

    def __init__(self, name: str, provider: str, *, make_lane: Callable[[], Lane | ThreadLane]) -> None:
        """`make_lane` is called when a run finds no free lane."""
        self.name = name
        self.provider = provider
        self._make_lane = make_lane
        self._free: list[Lane | ThreadLane] = []  # a stack: the last used lane's memory is still in the caches

    def __call__(self, rows: Floats) -> tuple[Floats, ...]:
        """Run float32 [rows, ...]; one array [rows, ...] for each output."""
        lane = self._borrow()
        try:
            return lane(rows)
        finally:
            self._free.append(lane)

    def warm(self, rows: Floats, *, executors: int) -> None:
        """Run every size that a batch of up to len(rows) rows may have, on one lane for each executor."""
        with _warming:
            lanes = [self._borrow() for _ in range(executors)]
            try:
                for lane in lanes:
                    lane.warm(rows)
            finally:
                self._free += reversed(lanes)

    def padding(self, rows: int) -> int:
        return size_for(rows) - rows

    def _borrow(self) -> Lane | ThreadLane:
        try:
            return self._free.pop()
        except IndexError:
            return self._make_lane()
