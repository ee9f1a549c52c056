"""A model version as the edge finds it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from server.core.spec import Spec
from server.core.vae.vae import Vae

State: TypeAlias = Literal["loading", "ready", "failed", "unloaded"]
# How it was settled in which way a graph runs: measured at this start, measured at an earlier one, or said beforehand.
Source: TypeAlias = Literal["measured", "cached", "given"]


@dataclass(frozen=True, slots=True)
class Rate:
    """What a graph did on this machine when run one way."""

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
    helpers: int  # further executors, which take full batches only
    threads: int
    source: Source
    curve: tuple[Rate, ...]  # what was measured; empty if everything was given

    @property
    def rows_per_second(self) -> float | None:
        """What it did when measured this way; None if everything was given."""
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
    model: Model | None  # there when ready
    is_default: bool
    labels: tuple[str, ...] = ()  # stable, canary
    share: float = 0.0  # of the calls that name neither version nor label, 0 to 1


class Models(Protocol):
    """Where the edge finds models; the runtime's catalog is one."""

    def lease(self, name: str, version: str, label: str) -> AbstractContextManager[Model]:
        """The model version, "" meaning the default, which stays in memory until the context ends.

        Raises InvalidInput, NotFound or Unavailable.
        """

    def serving(self, name: str) -> Sequence[AbstractContextManager[Model]]:
        """The versions that take calls which name none, of a model or, if none is named, of all: each to be leased."""

    def entries(self) -> Sequence[Entry]:
        """Every version by name, newest first."""
