"""The rounds of one server in a comparison: it is started, loaded cell by cell, and stopped."""

from bench.artifacts import ServedModel
from bench.cells import Cell
from bench.generator import Generator
from bench.measure import Loader, Measurement
from bench.peers.comparison import ContestantResult
from bench.peers.contestant import Contestant
from bench.results import CellResult
from bench.rubbish import ENCODE, RubbishRounds


class ContestantRounds:
    """Measures and collects the rounds of one contestant."""

    def __init__(self, contestant: Contestant, served: ServedModel, cells: tuple[Cell, ...]) -> None:
        self.contestant = contestant
        shape = served.artifact.manifest.item.shape
        self._served = served
        self._requests = {cell: contestant.requests(cell, shape) for cell in cells}
        self._cells: dict[Cell, list[Measurement]] = {cell: [] for cell in cells}
        self._rubbish = RubbishRounds(
            method=contestant.method(ENCODE),
            good=contestant.requests(ENCODE, shape),
            bad=contestant.rubbish(shape),
        )
        self._starts: list[float] = []

    def add(self, generator: Generator, *, seconds: float) -> None:
        """Measure one more round. Raises CannotInstall, or RuntimeError if the server does not start."""
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
