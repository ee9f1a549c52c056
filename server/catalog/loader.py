"""Loads one model version: verifies its files and golden outputs, calibrates its graphs, starts its batchers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from server import artifact
from server.artifact import Artifact, Manifest
from server.catalog.signature import CheckSignature, unchecked
from server.core.arrays import Doubles
from server.core.batching.batcher import Batcher
from server.core.likelihood import Bernoulli, Gaussian
from server.core.model import Execution, Model
from server.core.spec import LatentMode, Spec
from server.core.vae.vae import Vae
from server.engine import engine
from server.engine.autotune.cache import CalibrationCache
from server.engine.autotune.choose import ExecutionOverrides
from server.engine.autotune.tune import tune
from server.engine.engine import Device
from server.engine.graph import LoadedGraph


@dataclass(frozen=True, slots=True)
class Plan:
    """How to load and run every version."""

    device: Device
    overrides: ExecutionOverrides
    cores: int  # of the machine that this process may use
    cache: CalibrationCache
    cuda_graphs: bool = False
    check_signature: CheckSignature = unchecked


# Makes the batcher of one graph: (graph, how it runs, model, version, graph name).
MakeBatcher = Callable[[LoadedGraph, Execution, str, str, str], Batcher]


def load_version(
    path: Path, *, name: str, version: str, plan: Plan, make_batcher: MakeBatcher
) -> tuple[Model, Sequence[Batcher]]:
    """Load the version at `path`; the model and its batchers. Raises ArtifactError or DeviceUnavailable."""
    verified: Artifact = artifact.read(path)
    plan.check_signature(path)
    loaded = engine.load(
        verified, device=plan.device, threads=plan.overrides.start.threads, cuda_graphs=plan.cuda_graphs
    )
    graphs = tune(verified, loaded, overrides=plan.overrides, cores=plan.cores, cache=plan.cache)
    # Batchers start threads, so they come last: nothing after this can fail.
    batchers = {
        graph_name: make_batcher(tuned.graph, tuned.execution, name, version, graph_name)
        for graph_name, tuned in graphs.items()
    }
    executions = {graph_name: tuned.execution for graph_name, tuned in graphs.items()}
    spec = spec_of(verified.manifest)
    return Model(name, version, spec, Vae(spec, batchers), executions), tuple(batchers.values())


def spec_of(manifest: Manifest) -> Spec:
    """The spec of the version that a manifest describes."""
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
