"""Rolls versions out: keeps a catalog in line with its folder by loading, routing to and unloading versions.

Slow work (loading, closing) is handed to `run`. All else happens on the callers' thread, so that no call sees a change
half made.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from server.catalog import model_folder, models_toml, routing
from server.catalog.catalog import Catalog, LoadedVersion, Shelf, Slot
from server.catalog.loader import MakeBatcher, Plan, load_version
from server.catalog.model_folder import Fingerprint, Scan, VersionOnDisk
from server.catalog.models_toml import Policies
from server.catalog.routing import Route, VersionState
from server.core.batching.ticket import Ticket, drive
from server.core.model import Entry
from server.engine.engine import DeviceUnavailable
from server.errors import ArtifactError

T = TypeVar("T")


class Run(Protocol):
    """Runs work, mostly on another thread. The ticket settles on the callers' thread."""

    def __call__(self, work: Callable[[], T], /) -> Ticket[T]: ...


class Observer(Protocol):
    """Is notified of changes of versions, on the callers' thread."""

    def ready(self, entry: Entry) -> None:
        """A version was loaded."""

    def refused(self, entry: Entry, *, error: Exception) -> None:
        """A version's files were refused. Earlier files of the same version may still be in memory."""

    def unloaded(self, name: str, version: str) -> None:
        """A version is no longer in memory."""

    def forgotten(self, name: str, version: str) -> None:
        """A version is neither on disk nor in the catalog any more."""

    def routed(self, name: str, route: Route | None) -> None:
        """A model has a new route; None: the model is gone."""

    def complaint(self, reason: str) -> None:
        """The folder or models.toml is not valid. The last valid versions and policies stay in force."""


class Rollout:
    """Loads and unloads a catalog's versions as its folder and models.toml ask."""

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        *,
        default_model: str,
        window: float,
        plan: Plan,
        make_batcher: MakeBatcher,
        run: Run,
        observer: Observer,
    ) -> None:
        """`default_model` overrules models.toml unless empty.

        A version that gets no more calls stays in memory for `window` seconds.
        """
        self._folder = folder
        self._catalog = catalog
        self._default_model = default_model
        self._window = window
        self._plan = plan
        self._make_batcher = make_batcher
        self._run = run
        self._observer = observer
        self._policies = Policies()
        self._on_disk: Sequence[VersionOnDisk] = ()
        self._seen: Mapping[Path, Fingerprint] = {}
        self.complaint = ""  # what is wrong with the folder or models.toml; "": nothing
        self._starting = False

    def start(self) -> None:
        """Load the versions at the server's start, on this thread. Raises ArtifactError or DeviceUnavailable."""
        self._starting = True
        drive(self.align(model_folder.scan_first(self._folder, self._default_model), forced=True)).outcome()
        self._starting = False
        if not self._catalog.serving():
            raise ArtifactError(f"no model is ready; {self._why_none_is_ready()}")

    def scan(self) -> Scan:
        """Scan the folder. Any thread may call this, as it only reads the disk."""
        return model_folder.scan(self._folder)

    async def align(self, seen: Scan, *, forced: bool) -> None:
        """Load, route and unload until the catalog is as the scan asks.

        Unless `forced`, files are tried only if the last scan found the same: they may still be being copied.
        """
        if seen.complaint and seen.complaint != self.complaint:
            self._observer.complaint(seen.complaint)
        self.complaint = seen.complaint
        if seen.policies:
            self._policies = seen.policies
        # An empty folder is more likely a failed mount than the operator's wish: keep the versions.
        self._on_disk = seen.versions or self._on_disk
        self._catalog.default = self._default_model or self._policies.default
        for name in dict.fromkeys([*model_folder.model_names(self._on_disk), *self._catalog.shelves]):
            found = {
                f.version: f
                for f in self._on_disk
                if f.name == name and (forced or self._seen.get(f.path) == f.files or f.version in self._slots(name))
            }
            if not found and name not in self._catalog.shelves:
                continue
            if name not in self._catalog.shelves:
                self._observer.routed(name, Route())
            await self._align(name, self._catalog.shelf(name), found, forced=forced)
        self._seen = {found.path: found.files for found in self._on_disk}

    async def retire_idle(self) -> None:
        """Unload versions that were unused for the window. Does not read the folder."""
        await self.align(Scan(self._on_disk, self._policies, self.complaint), forced=False)

    def idle_at(self) -> float | None:
        """The clock's time of the next unloading if no call comes; None: no version waits for it."""
        times = [
            self._last_needed(slot) + self._window
            for shelf in self._catalog.shelves.values()
            for slot in shelf.slots.values()
            if slot.loaded
            and slot.version not in (shelf.route.stable, shelf.route.canary, *shelf.policy.keep)
        ]  # fmt: skip
        return min(times, default=None)

    def _why_none_is_ready(self) -> str:
        for entry in self._catalog.entries():
            if entry.reason:
                return f"{entry.name} version {entry.version}: {entry.reason}"
        name, shelf = next(iter(self._catalog.shelves.items()))
        return f"{name}: {models_toml.FILE} asks for version {shelf.policy.stable}; there are {', '.join(shelf.slots)}"

    def _slots(self, name: str) -> Mapping[str, Slot]:
        shelf = self._catalog.shelves.get(name)
        return shelf.slots if shelf else {}

    async def _align(self, name: str, shelf: Shelf, found: Mapping[str, VersionOnDisk], *, forced: bool) -> None:
        shelf.policy = self._policies.of(name)
        for version in found:
            shelf.slot(name, version)
        while True:
            states = [self._state(slot, found.get(slot.version), forced) for slot in shelf.slots.values()]
            self._flip(name, shelf, routing.route(shelf.policy, states, current=shelf.route))
            now = self._catalog.clock()
            for version in routing.to_unload(shelf.policy, states, shelf.route, now=now, window=self._window):
                self._unload(shelf.slots[version])
            self._forget(name, shelf, found)
            everything = self._starting and self._window > 0
            version = routing.next_to_load(shelf.policy, states, everything=everything)
            if not version:
                return
            await self._load(shelf.slots[version], found[version])

    def _state(self, slot: Slot, found: VersionOnDisk | None, forced: bool) -> VersionState:
        tried = slot.files is not None and found is not None and slot.files == found.files
        settled = found is not None and (forced or self._seen.get(found.path) == found.files)
        return VersionState(
            version=slot.version,
            on_disk=found is not None,
            untried=settled and not (tried and (slot.loaded is not None or slot.reason != "")),
            ready=slot.loaded is not None,
            needed=self._last_needed(slot),
        )

    def _last_needed(self, slot: Slot) -> float:
        return max(slot.routed_until, slot.loaded.used) if slot.loaded else slot.routed_until

    def _flip(self, name: str, shelf: Shelf, route: Route) -> None:
        if route == shelf.route:
            return
        for version in (shelf.route.stable, shelf.route.canary):
            if version in shelf.slots:
                shelf.slots[version].routed_until = self._catalog.clock()
        shelf.route = route
        self._observer.routed(name, route)

    async def _load(self, slot: Slot, found: VersionOnDisk) -> None:
        slot.loading = True
        load = partial(
            load_version,
            found.path,
            name=found.name,
            version=found.version,
            plan=self._plan,
            make_batcher=self._make_batcher,
        )
        try:
            model, batchers = await self._run_slow(load)
        except Exception as error:
            if self._starting and not isinstance(error, ArtifactError):
                raise
            # After any error the next version is tried, and these files are not tried again.
            slot.files, slot.reason, slot.loading = found.files, _reason(error), False
            self._observer.refused(self._catalog.entry(slot), error=error)
            return
        before, slot.loaded = slot.loaded, LoadedVersion(model, batchers, clock=self._catalog.clock)
        slot.files, slot.reason, slot.loading = found.files, "", False
        if before:
            self._close_when_unused(slot, before)
        self._observer.ready(self._catalog.entry(slot))

    async def _run_slow(self, work: Callable[[], T]) -> T:
        """Run work on this thread at the server's start, later by `run`."""
        if self._starting:
            return work()
        result: T = await self._run(work)
        return result

    def _unload(self, slot: Slot) -> None:
        loaded, slot.loaded, slot.files = slot.loaded, None, None
        assert loaded is not None
        self._close_when_unused(slot, loaded)

    def _close_when_unused(self, slot: Slot, loaded: LoadedVersion) -> None:
        """Close a version by `run` once no call uses it.

        Reports it as unloaded unless other files of the same version are loaded by then.
        """

        def closed(_: Ticket[None]) -> None:
            now = self._slots(slot.name).get(slot.version)
            if now is None or now.loaded is None:
                self._observer.unloaded(slot.name, slot.version)
            self._run(return_freed_memory)  # by now nothing refers to the version

        loaded.retire(lambda: self._run(loaded.close).add_done_callback(closed))

    def _forget(self, name: str, shelf: Shelf, found: Mapping[str, VersionOnDisk]) -> None:
        for slot in [s for s in shelf.slots.values() if s.version not in found and s.loaded is None]:
            del shelf.slots[slot.version]
            self._observer.forgotten(name, slot.version)
        if not shelf.slots:
            del self._catalog.shelves[name]
            self._observer.routed(name, None)


def return_freed_memory() -> None:
    """Return freed memory to the system if the allocator can: glibc would keep most of an unloaded model."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _reason(error: Exception) -> str:
    """The part of an error that callers may read."""
    if isinstance(error, ArtifactError | DeviceUnavailable):
        return str(error)
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return f"{type(error).__name__} while loading; the server's log has it"
