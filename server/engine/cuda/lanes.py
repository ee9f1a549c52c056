"""A graph on a GPU: batches are padded to powers of two, and each size has buffers that stay where they are.

Fixed sizes mean that cuDNN chooses its algorithms once for each and memory is allocated once; fixed buffers can be
page-locked, and are what a captured CUDA graph needs. Whoever runs borrows a lane: one set of buffers, for one run at a
time. This module knows neither onnxruntime nor CUDA; `engine.cuda.binding` makes the buffers.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeAlias

from server.core.arrays import Floats

# With CUDA graphs onnxruntime needs two ordinary runs of a size and captures in the third; without, one would do.
RUNS_TO_WARM = 3
# A capture fails if another thread uses the GPU meanwhile.
_warming = threading.Lock()


class Buffers(Protocol):
    """Memory for one run of one fixed number of rows."""

    @property
    def rows(self) -> Floats:
        """The input [size, ...]: to be written before a run."""

    def run(self) -> tuple[Floats, ...]:
        """One array [size, ...] per output; the next run writes over them."""


MakeBuffers: TypeAlias = Callable[[int], Buffers]  # for so many rows


def size_for(rows: int) -> int:
    """The fixed size in which so many rows run: the next power of two."""
    return 1 << (rows - 1).bit_length()


class Lane:
    """Buffers of every size, for one run at a time."""

    def __init__(self, make_buffers: MakeBuffers) -> None:
        self._make_buffers = make_buffers
        self._buffers: dict[int, Buffers] = {}
        self._warm: set[int] = set()

    def __call__(self, rows: Floats) -> tuple[Floats, ...]:
        """Run rows [rows, ...]; outputs are copies."""
        size, count = size_for(len(rows)), len(rows)
        if size not in self._buffers:
            self._buffers[size] = self._make_buffers(size)
        buffers = self._buffers[size]
        buffers.rows[:count] = rows
        buffers.rows[count:] = 0.0
        return tuple(output[:count].copy() for output in buffers.run())

    def warm(self, rows: Floats) -> None:
        """Run every size up to the one that `rows` need."""
        for power in range(size_for(len(rows)).bit_length()):
            if (size := 1 << power) not in self._warm:
                for _ in range(RUNS_TO_WARM):
                    self(rows[:size])
                self._warm.add(size)


class ThreadLane:
    """A lane whose every run is on one thread of its own, where onnxruntime keeps the CUDA graphs it captured."""

    def __init__(self, make_buffers: MakeBuffers, *, name: str) -> None:
        self._lane = Lane(make_buffers)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def __call__(self, rows: Floats) -> tuple[Floats, ...]:
        return self._thread.submit(self._lane, rows).result()

    def warm(self, rows: Floats) -> None:
        self._thread.submit(self._lane.warm, rows).result()


class CudaGraph:
    """One graph, ready to run on a GPU; fulfils graph.LoadedGraph. Calls from several threads at once are safe."""

    threads = 1  # of the CPU: they only wait

    def __init__(self, name: str, provider: str, *, make_lane: Callable[[], Lane | ThreadLane]) -> None:
        """`make_lane` is called whenever more runs are under way than there are lanes."""
        self.name = name
        self.provider = provider
        self._make_lane = make_lane
        self._free: list[Lane | ThreadLane] = []  # the last used first: its memory is in the caches

    def __call__(self, rows: Floats) -> tuple[Floats, ...]:
        """Run float32 [rows, ...]; one array [rows, ...] per output."""
        lane = self._borrow()
        try:
            return lane(rows)
        finally:
            self._free.append(lane)

    def warm(self, rows: Floats, *, executors: int) -> None:
        """Run every size that a batch of up to len(rows) may have, on as many lanes as there will be executors."""
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
