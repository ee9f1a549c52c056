"""Models and versions on disk: found, verified, warmed up, and looked up by name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from server import artifact
from server.artifact import Artifact, Manifest
from server.core.arrays import Doubles
from server.core.batcher import Batcher
from server.core.likelihood import Bernoulli, Gaussian
from server.core.model import Entry, Execution, Model
from server.core.spec import LatentMode, Spec
from server.core.vae import Vae
from server.errors import ArtifactError, InvalidInput, NotFound, Unavailable
from server.runtime import engine
from server.runtime.choice import Given
from server.runtime.engine import Device
from server.runtime.folder import preferred_model, versions
from server.runtime.graph import LoadedGraph
from server.runtime.remembered import Remembered
from server.runtime.signature import CheckSignature, unchecked
from server.runtime.tuning import tune


@dataclass(frozen=True, slots=True)
class Plan:
    """How graphs shall run."""

    device: Device
    given: Given
    cores: int  # that this process may use
    remembered: Remembered
    cuda_graphs: bool = False
    check_signature: CheckSignature = unchecked


# Makes the batcher of one graph: (graph, how it runs, model, version, graph name).
MakeBatcher = Callable[[LoadedGraph, Execution, str, str, str], Batcher]


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
            model, batchers = _load(path, name=name, version=version, plan=plan, make_batcher=make_batcher)
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


def _load(
    path: Path, *, name: str, version: str, plan: Plan, make_batcher: MakeBatcher
) -> tuple[Model, Sequence[Batcher]]:
    verified: Artifact = artifact.read(path)
    plan.check_signature(path)
    loaded = engine.load(verified, device=plan.device, threads=plan.given.start.threads, cuda_graphs=plan.cuda_graphs)
    graphs = tune(verified, loaded, given=plan.given, cores=plan.cores, remembered=plan.remembered)
    # Threads start only now that nothing can fail any more.
    batchers = {
        graph_name: make_batcher(tuned.graph, tuned.execution, name, version, graph_name)
        for graph_name, tuned in graphs.items()
    }
    executions = {graph_name: tuned.execution for graph_name, tuned in graphs.items()}
    spec = spec_of(verified.manifest)
    return Model(name, version, spec, Vae(spec, batchers), executions), tuple(batchers.values())


def spec_of(manifest: Manifest) -> Spec:
    """A manifest in the terms of the core."""
    sigma, scale = manifest.likelihood.sigma, manifest.likelihood.scale
    return Spec(
        digest=manifest.digest,
        embedding_space=manifest.embedding_space,
        item_shape=manifest.item.shape,
        value_range=manifest.item.range,
        latent_size=manifest.latent_size,
        likelihood=Bernoulli() if sigma is None else Gaussian(sigma, scale),
        learned_prior=manifest.learned_prior,
        sampling_version=manifest.sampling_version,
        metrics=manifest.metrics,
        elbo_percentiles=_percentiles(manifest, "elbo"),
        nll_percentiles=_percentiles(manifest, "reconstruction_nll"),
        kl_percentiles=_percentiles(manifest, "kl"),
    )


def _percentiles(manifest: Manifest, quantity: str) -> dict[LatentMode, Doubles]:
    return {
        "mean": np.array(manifest.held_out["mean"][quantity]),
        "draw": np.array(manifest.held_out["draw"][quantity]),
    }
