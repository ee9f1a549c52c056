"""The catalog: model versions, looked up by name and leased to calls. Used on the callers' thread only."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import random
from types import TracebackType

from server.catalog.model_folder import Fingerprint
from server.catalog.models_toml import Policy
from server.catalog.routing import LABELS, Route
from server.core.batching.batcher import Batcher
from server.core.model import Entry, Model, State
from server.errors import InvalidInput, NotFound, Unavailable


class LoadedVersion:
    """A version in memory. As a context manager it leases the model: it is not closed before the last lease ends."""

    __slots__ = ("_batchers", "_clock", "_leases", "_on_free", "model", "used")

    def __init__(self, model: Model, batchers: Sequence[Batcher], *, clock: Callable[[], float]) -> None:
        self.model = model
        self.used = clock()  # when the last lease began, clock, seconds
        self._batchers = batchers
        self._clock = clock
        self._leases = 0
        self._on_free: Callable[[], None] | None = None

    def __enter__(self) -> Model:
        self._leases += 1
        self.used = self._clock()
        return self.model

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leases -= 1
        self._free_if_unused()

    def retire(self, on_free: Callable[[], None]) -> None:
        """Call `on_free` once the last lease has ended. There must be no new lease after this."""
        self._on_free = on_free
        self._free_if_unused()

    def close(self) -> None:
        """Finish the jobs that the batchers admitted, then stop them. Blocks."""
        for batcher in self._batchers:
            batcher.close()

    def _free_if_unused(self) -> None:
        if self._on_free is not None and self._leases == 0:
            on_free, self._on_free = self._on_free, None
            on_free()


@dataclass(slots=True)
class Slot:
    """The state of one version, loaded or not."""

    name: str
    version: str
    files: Fingerprint | None = None  # the files that were last loaded or refused
    loading: bool = False
    reason: str = ""  # why these files were refused
    loaded: LoadedVersion | None = None
    routed_until: float = 0.0  # until when it got calls without a version, clock, seconds

    @property
    def state(self) -> State:
        if self.loaded:
            return "ready"
        if self.loading:
            return "loading"
        return "failed" if self.reason else "unloaded"


@dataclass(slots=True)
class Shelf:
    """All versions of one model, with its policy and route."""

    slots: dict[str, Slot] = field(default_factory=dict)  # newest first
    policy: Policy = field(default_factory=Policy)
    route: Route = field(default_factory=Route)

    def slot(self, name: str, version: str) -> Slot:
        """The slot of a version; created if there is none."""
        if version not in self.slots:
            self.slots[version] = Slot(name, version)
            self.slots = dict(sorted(self.slots.items(), key=lambda item: int(item[0]), reverse=True))
        return self.slots[version]


class Catalog:
    """Every model version that the server knows; implements core.model.Models."""

    def __init__(self, *, draw: Callable[[], float] = random, clock: Callable[[], float] = time.monotonic) -> None:
        """`draw` returns a number in [0, 1), to share calls between stable and canary."""
        self.default = ""  # the model for calls that name none; "": only if there is just one model
        self.shelves: dict[str, Shelf] = {}  # by name
        self._draw = draw
        self.clock = clock

    def shelf(self, name: str) -> Shelf:
        """The shelf of a model; created if there is none."""
        if name not in self.shelves:
            self.shelves[name] = Shelf()
            self.shelves = dict(sorted(self.shelves.items()))
        return self.shelves[name]

    def entries(self) -> Sequence[Entry]:
        """Every version: models by name, their versions newest first."""
        default = self._default()
        return [self.entry(slot, default=default) for slot in self._slots()]

    def entry(self, slot: Slot, *, default: str = "") -> Entry:
        """The entry of one slot; `default` is the default model's name."""
        route = self.shelves[slot.name].route
        return Entry(
            slot.name,
            slot.version,
            slot.state,
            slot.reason,
            slot.loaded.model if slot.loaded else None,
            is_default=slot.name == default and slot.version == route.stable,
            labels=route.labels(slot.version),
            share=route.share(slot.version),
        )

    def serving(self, name: str = "") -> Sequence[LoadedVersion]:
        """The versions that get the calls without a version: of one model, or with "" of all."""
        shelves = self.shelves.values() if not name else [self.shelves[name]] if name in self.shelves else []
        return [
            loaded
            for shelf in shelves
            for version in (shelf.route.stable, shelf.route.canary)
            if version and (loaded := shelf.slots[version].loaded)
        ]

    def lease(self, name: str, version: str, label: str = "") -> LoadedVersion:
        """The lease of a model version; empty arguments mean the default.

        Enter it at once, before other code runs on this thread: until then the version may be closed.
        Raises InvalidInput, NotFound or Unavailable.
        """
        name = name or self._required_default()
        shelf = self.shelves.get(name)
        if shelf is None:
            raise NotFound(f"model.name: no model {name!r}; there are {', '.join(self.shelves)}")
        if version:
            return _by_version(name, shelf, version, label)
        if label and label not in LABELS:
            raise InvalidInput("model.label", f"must be one of {', '.join(LABELS)}, got {label!r}")
        picked = shelf.route.pick(label, draw=self._draw)
        if not picked:
            raise _no_ready_version(name, shelf, label)
        loaded = shelf.slots[picked].loaded
        assert loaded is not None
        return loaded

    def _slots(self) -> Iterator[Slot]:
        for shelf in self.shelves.values():
            yield from shelf.slots.values()

    def _default(self) -> str:
        return self.default or (next(iter(self.shelves)) if len(self.shelves) == 1 else "")

    def _required_default(self) -> str:
        default = self._default()
        if not default:
            raise InvalidInput("model.name", f"is needed: there are {', '.join(self.shelves)}")
        return default


def _by_version(name: str, shelf: Shelf, version: str, label: str) -> LoadedVersion:
    if label:
        raise InvalidInput("model.label", f"must be empty beside a version, got {label!r}")
    slot = shelf.slots.get(version)
    if slot is None:
        raise NotFound(f"model.version: {name} has no version {version!r}; there are {', '.join(shelf.slots)}")
    if slot.loaded is None:
        raise Unavailable(f"model {name} version {version} is {slot.state}")
    return slot.loaded


def _no_ready_version(name: str, shelf: Shelf, label: str) -> NotFound | Unavailable:
    if label == "canary" and not shelf.policy.canary:
        return NotFound(f"model.label: {name} has no canary")
    return Unavailable(f"model {name} has no ready {label or 'stable'} version")
