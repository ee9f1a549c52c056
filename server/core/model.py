"""A model version as the edge sees it: spec, computation, and how its graphs run."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from server.core.spec import Spec
from server.core.vae.vae import Vae

State: TypeAlias = Literal["loading", "ready", "failed", "unloaded"]
# Where a graph's way of running comes from: measured at this start, measured at an earlier one, or set by the operator.
Source: TypeAlias = Literal["measured", "cached", "given"]


@dataclass(frozen=True, slots=True)
class Rate:
    """The speed of a graph on this machine, run in one way."""

    rows: int  # in every batch
    executors: int
    threads: int
    rows_per_second: float

    @property
    def cores(self) -> int:
        return self.executors * self.threads


@dataclass(frozen=True, slots=True)
class Execution:
    """How a graph runs on this machine."""

    provider: str
    max_batch_rows: int
    executors: int
    helpers: int  # extra executors, for full batches only
    threads: int
    source: Source
    curve: tuple[Rate, ...]  # all that was measured; empty if the operator set everything

    @property
    def rows_per_second(self) -> float | None:
        """The rate measured for this way of running; None if nothing was measured."""
        way = (self.max_batch_rows, self.executors, self.threads)
        return next((r.rows_per_second for r in self.curve if (r.rows, r.executors, r.threads) == way), None)


@dataclass(frozen=True, slots=True)
class Model:
    """A version in memory, ready to run."""

    name: str
    version: str
    spec: Spec
    vae: Vae
    graphs: Mapping[str, Execution]


@dataclass(frozen=True, slots=True)
class Entry:
    """A version that the server knows, ready or not."""

    name: str
    version: str
    state: State
    reason: str  # why its files were refused; otherwise empty
    model: Model | None  # None unless ready
    is_default: bool
    labels: tuple[str, ...] = ()  # stable, canary
    share: float = 0.0  # of the calls that name neither version nor label, 0..1


class Models(Protocol):
    """Looks up models for the edge; `server.catalog.Catalog` implements it."""

    def lease(self, name: str, version: str, label: str) -> AbstractContextManager[Model]:
        """Look up a model version and keep it in memory until the context ends.

        Empty arguments mean the default. Raises InvalidInput, NotFound or Unavailable.
        """

    def serving(self, name: str) -> Sequence[AbstractContextManager[Model]]:
        """Leases on the versions that get the calls without a version: of one model, or with "" of all."""

    def entries(self) -> Sequence[Entry]:
        """Every version that the server knows: models by name, their versions newest first."""
