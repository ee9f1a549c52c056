"""Models and versions, looked up by name."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from server import artifact
from server.core.model import Entry, Model
from server.errors import ArtifactError, InvalidInput, NotFound, Unavailable
from server.runtime.folder import preferred_model, versions
from server.runtime.loading import MakeBatcher, Plan, load_version


class Catalog:
    """Every model version under one folder; fulfils core.model.Models."""

    def __init__(self, entries: Iterable[Entry], *, closers: Sequence[Callable[[], None]] = ()) -> None:
        self._entries = tuple(entries)
        self._closers = tuple(closers)
        self._versions: dict[str, dict[str, Entry]] = {}
        for entry in self._entries:
            self._versions.setdefault(entry.name, {})[entry.version] = entry

    def entries(self) -> Sequence[Entry]:
        return self._entries

    def find(self, name: str, version: str) -> Model:
        """The model version, "" meaning the default. Raises InvalidInput, NotFound or Unavailable."""
        if not name:
            name = self._default_name()
        versions = self._versions.get(name)
        if versions is None:
            raise NotFound(f"model.name: no model {name!r}; there are {', '.join(self._versions)}")
        if version:
            entry = versions.get(version)
            if entry is None:
                raise NotFound(f"model.version: {name} has no version {version!r}; there are {', '.join(versions)}")
            if entry.model is None:
                raise Unavailable(f"model {name} version {version} is {entry.state}")
            return entry.model
        for entry in versions.values():  # newest first
            if entry.model is not None:
                return entry.model
        raise Unavailable(f"model {name} has no ready version")

    def close(self) -> None:
        """Finish what every batcher has accepted, then stop them."""
        for close in self._closers:
            close()

    def _default_name(self) -> str:
        for entry in self._entries:
            if entry.is_default:
                return entry.name
        raise InvalidInput("model.name", f"is needed: there are {', '.join(self._versions)}")


def load(
    folder: Path,
    *,
    default_model: str,
    plan: Plan,
    make_batcher: MakeBatcher,
    report: Callable[[Entry], None],
) -> Catalog:
    """Load every folder/<model>/<version>; one that is broken is listed as failed, with the reason, and not served.

    `report` hears of every version once. Raises ArtifactError if there is nothing to load or no version is ready or
    the default model does not exist, DeviceUnavailable if the device asked for cannot be used.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder")
    found = versions(folder)
    names = list(dict.fromkeys(name for name, _, _ in found))
    if not found:
        raise ArtifactError(f"{folder}: holds no model; it needs <model>/<version>/{artifact.MANIFEST}")
    default = default_model or preferred_model(folder) or (names[0] if len(names) == 1 else "")
    if default and default not in names:
        raise ArtifactError(f"{folder}: has no model {default!r} to prefer; there are {', '.join(names)}")
    entries: list[Entry] = []
    closers: list[Callable[[], None]] = []
    defaulted = False
    for name, version, path in found:
        try:
            model, batchers = load_version(path, name=name, version=version, plan=plan, make_batcher=make_batcher)
        except ArtifactError as error:
            entry = Entry(name, version, "failed", str(error), None, is_default=False)
        else:
            closers += [batcher.close for batcher in batchers]
            is_default = name == default and not defaulted
            defaulted |= is_default
            entry = Entry(name, version, "ready", "", model, is_default=is_default)
        report(entry)
        entries.append(entry)
    if not any(entry.model for entry in entries):
        first = entries[0]
        raise ArtifactError(f"no model is ready; {first.name} version {first.version}: {first.reason}")
    return Catalog(entries, closers=closers)
