"""Models and versions, looked up by name. Lives on the callers' thread."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import random

from server.core.model import Entry, State
from server.core.route import LABELS, Route
from server.errors import InvalidInput, NotFound, Unavailable
from server.runtime.folder import Fingerprint
from server.runtime.held import Held
from server.runtime.policy import Policy


@dataclass(slots=True)
class Slot:
    """The place of one version, whether it is loaded or not."""

    name: str
    version: str
    files: Fingerprint | None = None  # what was last loaded or refused
    loading: bool = False
    reason: str = ""  # why these files were refused
    held: Held | None = None
    taken: float = 0.0  # until when it took the calls that name no version

    @property
    def state(self) -> State:
        if self.held:
            return "ready"
        if self.loading:
            return "loading"
        return "failed" if self.reason else "unloaded"


@dataclass(slots=True)
class Shelf:
    """The versions of one model."""

    slots: dict[str, Slot] = field(default_factory=dict)  # newest first
    policy: Policy = field(default_factory=Policy)
    route: Route = field(default_factory=Route)

    def slot(self, name: str, version: str) -> Slot:
        """The slot of a version, made where there was none."""
        if version not in self.slots:
            self.slots[version] = Slot(name, version)
            self.slots = dict(sorted(self.slots.items(), key=lambda item: int(item[0]), reverse=True))
        return self.slots[version]


class Catalog:
    """Every model version that the server knows; fulfils core.model.Models."""

    def __init__(self, *, draw: Callable[[], float] = random, clock: Callable[[], float] = time.monotonic) -> None:
        """`draw` gives numbers in [0, 1) to share calls between stable and canary."""
        self.default = ""  # the model for callers who name none; "": they must, unless there is but one
        self.shelves: dict[str, Shelf] = {}  # by name
        self._draw = draw
        self.clock = clock

    def shelf(self, name: str) -> Shelf:
        """The shelf of a model, made where there was none."""
        if name not in self.shelves:
            self.shelves[name] = Shelf()
            self.shelves = dict(sorted(self.shelves.items()))
        return self.shelves[name]

    def entries(self) -> Sequence[Entry]:
        default = self._default()
        return [self.entry(slot, default=default) for slot in self._slots()]

    def entry(self, slot: Slot, *, default: str = "") -> Entry:
        taken = self.shelves[slot.name].route
        return Entry(
            slot.name,
            slot.version,
            slot.state,
            slot.reason,
            slot.held.model if slot.held else None,
            is_default=slot.name == default and slot.version == taken.stable,
            labels=taken.labels(slot.version),
            share=taken.share(slot.version),
        )

    def serving(self, name: str = "") -> Sequence[Held]:
        """What takes the calls of a model that name no version, or of all models."""
        shelves = self.shelves.values() if not name else [self.shelves[name]] if name in self.shelves else []
        return [
            held
            for shelf in shelves
            for version in (shelf.route.stable, shelf.route.canary)
            if version and (held := shelf.slots[version].held)
        ]

    def lease(self, name: str, version: str, label: str = "") -> Held:
        """The model version, "" meaning the default. Raises InvalidInput, NotFound or Unavailable.

        To be entered at once, before anything else happens on this thread.
        """
        name = name or self._needed_default()
        shelf = self.shelves.get(name)
        if shelf is None:
            raise NotFound(f"model.name: no model {name!r}; there are {', '.join(self.shelves)}")
        if version:
            return _by_version(name, shelf, version, label)
        if label and label not in LABELS:
            raise InvalidInput("model.label", f"must be one of {', '.join(LABELS)}, got {label!r}")
        picked = shelf.route.pick(label, draw=self._draw)
        if not picked:
            raise _nobody(name, shelf, label)
        held = shelf.slots[picked].held
        assert held is not None
        return held

    def _slots(self) -> Iterator[Slot]:
        for shelf in self.shelves.values():
            yield from shelf.slots.values()

    def _default(self) -> str:
        return self.default or (next(iter(self.shelves)) if len(self.shelves) == 1 else "")

    def _needed_default(self) -> str:
        default = self._default()
        if not default:
            raise InvalidInput("model.name", f"is needed: there are {', '.join(self.shelves)}")
        return default


def _by_version(name: str, shelf: Shelf, version: str, label: str) -> Held:
    if label:
        raise InvalidInput("model.label", f"must be empty beside a version, got {label!r}")
    slot = shelf.slots.get(version)
    if slot is None:
        raise NotFound(f"model.version: {name} has no version {version!r}; there are {', '.join(shelf.slots)}")
    if slot.held is None:
        raise Unavailable(f"model {name} version {version} is {slot.state}")
    return slot.held


def _nobody(name: str, shelf: Shelf, label: str) -> NotFound | Unavailable:
    if label == "canary" and not shelf.policy.canary:
        return NotFound(f"model.label: {name} has no canary")
    return Unavailable(f"model {name} has no ready {label or 'stable'} version")
