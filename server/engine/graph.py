"""A loaded graph: the interface that batchers use, and its implementation on a CPU."""

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
        """Run float32 [rows, ...]; one array [rows, ...] for each output, which no later run changes."""

    def warm(self, rows: Floats, *, executors: int) -> None:
        """Do the one-time work of the first runs: any batch of up to len(rows) rows, `executors` runs at a time."""

    def padding(self, rows: int) -> int:
        """How many rows are added to a batch of `rows` because the graph runs in fixed sizes."""


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
