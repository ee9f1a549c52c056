"""One server in a comparison: started afresh in every round, loaded cell by cell, stopped."""

from bench.artifacts import Served
from bench.cells import Cell
from bench.generator import Generator
from bench.measure import Loader, Measured
from bench.peers.comparison import ContestantResult
from bench.peers.contestant import Contestant
from bench.results import CellResult
from bench.rubbish import ENCODE, RubbishRounds


class Appearances:
    """All rounds of one contestant."""

    def __init__(self, contestant: Contestant, served: Served, cells: tuple[Cell, ...]) -> None:
        self.contestant = contestant
        shape = served.artifact.manifest.item.shape
        self._served = served
        self._requests = {cell: contestant.requests(cell, shape) for cell in cells}
        self._cells: dict[Cell, list[Measured]] = {cell: [] for cell in cells}
        self._rubbish = RubbishRounds(
            method=contestant.method(ENCODE),
            good=contestant.requests(ENCODE, shape),
            bad=contestant.rubbish(shape),
        )
        self._starts: list[float] = []

    def appear(self, generator: Generator, *, seconds: float) -> None:
        """One more round. Raises CannotInstall, or RuntimeError if the server does not come up."""
        with self.contestant.start(self._served) as running:
            loader = Loader(generator, running, seconds)
            self._starts.append(running.seconds_to_first_answer)
            for cell, requests in self._requests.items():
                method = self.contestant.method(cell)
                self._cells[cell].append(loader.load(method, callers=cell.callers, payloads=requests))
            self._rubbish.add(loader)

    def result(self) -> ContestantResult:
        cells = tuple(CellResult(cell, tuple(rounds)) for cell, rounds in self._cells.items())
        return ContestantResult(self.contestant.name, cells, self._rubbish.result(), tuple(self._starts))
