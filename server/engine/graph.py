"""A graph that is ready to run: what the rest of the runtime and the batcher may do with it, and the one on a CPU."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from server.core.arrays import Floats


class LoadedGraph(Protocol):
    """One graph of an artifact. Calls from several threads at once are safe."""

    @property
    def name(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def threads(self) -> int: ...

    def __call__(self, rows: Floats) -> tuple[Floats, ...]:
        """Run float32 [rows, ...]; one array [rows, ...] per output, the caller's own."""

    def warm(self, rows: Floats, *, executors: int) -> None:
        """Do now what the first batches of up to so many rows, `executors` at a time, would otherwise wait for."""

    def padding(self, rows: int) -> int:
        """How many rows are run beside so many because the graph runs in fixed sizes."""


@dataclass(frozen=True, slots=True)
class HostGraph:
    """A graph on the CPU, in batches of any size. Calls from several threads at once are safe."""

    name: str
    provider: str
    threads: int
    _session: Any = field(repr=False)  # an onnxruntime session
    _input: str
    _outputs: tuple[str, ...]

    def __call__(self, rows: Floats) -> tuple[Floats, ...]:
        """Run float32 [rows, ...]; one array [rows, ...] per output."""
        return tuple(self._session.run(self._outputs, {self._input: rows}))

    def warm(self, rows: Floats, *, executors: int) -> None:  # noqa: ARG002  one run warms the session for all
        self(rows)

    def padding(self, rows: int) -> int:  # noqa: ARG002  a CPU never pads
        return 0
