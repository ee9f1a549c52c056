"""The targets of the serving benchmark, as ratios within one run, and whether they are reached."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.raw import ways
from bench.results import ModelResult
from bench.rubbish import WANTED


@dataclass(frozen=True, slots=True)
class Target:
    """A figure with its bound."""

    name: str
    value: float
    bound: float
    at_least: bool = True  # otherwise at most

    @property
    def reached(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def of(results: Iterable[ModelResult]) -> Iterator[Target]:
    """Every target for which there are measurements."""
    for result in results:
        yield from BY_MODEL[result.model](result)
        yield Target(f"{result.model}: good calls answered beside rubbish", result.rubbish.answered, WANTED)
        yield Target(f"{result.model}: rate of good callers beside rubbish / clean", result.rubbish.kept, 0.9)
        yield Target(f"{result.model}: PSS under load, MiB", result.pss_mib, 250, at_least=False)
        slowest = max(result.start_seconds)
        yield Target(f"{result.model}: seconds from start to first answer", slowest, 1.5, at_least=False)


def _mlp(result: ModelResult) -> Iterator[Target]:
    for each in result.cells:
        if (each.cell.rows, each.cell.callers) == (1, 64):
            ratio = each.calls_per_second.median / result.no_op_calls_per_second.median
            yield Target(f"mlp: {each.cell} / the transport's no-op", ratio, 0.6)


def _default(result: ModelResult) -> Iterator[Target]:
    for each in result.cells:
        if each.cell.rows == 256:
            yield Target(
                f"default: {each.cell} / raw onnxruntime",
                each.rows_per_second / result.raw.best(each.cell.operation),
                0.75,
            )


def _seed(result: ModelResult) -> Iterator[Target]:
    sessions = ways()[-1:]
    for each in result.cells:
        rows, callers = each.cell.rows, each.cell.callers
        ratio = each.rows_per_second / result.raw.best(each.cell.operation, sessions)
        if rows >= 16 and callers >= 8:
            yield Target(f"seed: {each.cell} / raw, a session for each core", ratio, 0.85)
        elif (rows, callers) == (1, 64):
            yield Target(f"seed: {each.cell} / raw, a session for each core", ratio, 0.70)


BY_MODEL = {"mlp": _mlp, "default": _default, "seed": _seed}
