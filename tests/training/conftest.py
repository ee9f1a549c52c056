"""Fixtures for all tests of training: a data set, a configuration, a trained run and its artifact."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from training.config.config import Config
from training.config.resolve import resolve
from training.datasets import Dataset, load
from training.export import export as exporting
from training.run import checkpoint, folder, session
from training.run.hardware import Hardware

# Networks this small gain nothing from a second thread, and threads that wait for each other on busy cores cost much.
torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    """Commands without --threads take one per core. Make that one, because the tests share the cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        yield


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load("digits", environment={})


@pytest.fixture(scope="session")
def cpu() -> Hardware:
    return Hardware(torch.device("cpu"), "fp32", channels_last=False, threads=1)


@pytest.fixture(scope="session")
def quick() -> Config:
    """A second of training: enough for the latents to matter, with a learned prior."""
    return resolve(
        name="tiny",
        file=None,
        flags={"latent_size": 7, "prior": {"couplings": 2, "hidden": 16}, "optimisation": {"epochs": 15}},
    )


@pytest.fixture(scope="session")
def trained(quick: Config, digits: Dataset, cpu: Hardware, tmp_path_factory: pytest.TempPathFactory) -> session.Session:
    """A finished run of `quick`; do not train it on."""
    this = session.new(
        quick,
        run=folder.create(tmp_path_factory.mktemp("runs") / "quick"),
        source="digits",
        dataset=digits,
        hardware=cpu,
    )
    assert this.fit(observe=lambda event: None, stopping=lambda: False, clock=lambda: 0.0)
    return this


@pytest.fixture(scope="session")
def artifact(trained: session.Session, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trained`, exported; do not write into it."""
    out = tmp_path_factory.mktemp("exported") / "digits" / "1"
    model, chosen = session.trained_model(checkpoint.read(trained.run.checkpoint))
    exporting.export(model, digits, provenance={**trained.provenance, **chosen}, out=out)
    return out
