"""A model version as the edge finds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from server.core.spec import Spec
from server.core.vae import Vae

State: TypeAlias = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Execution:
    """How a graph runs on this machine."""

    provider: str
    max_batch_rows: int
    executors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Model:
    """A version that takes traffic."""

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
    reason: str  # why it failed; otherwise empty
    model: Model | None  # there when ready
    is_default: bool


class Models(Protocol):
    """Where the edge finds models; the runtime's catalog is one."""

    def find(self, name: str, version: str) -> Model:
        """The model version, "" meaning the default. Raises InvalidInput, NotFound or Unavailable."""

    def entries(self) -> Sequence[Entry]:
        """Every version by name, newest first."""
