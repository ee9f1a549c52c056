"""A model of plain numpy graphs: 2 x 2 pictures, two latents, no files and no onnxruntime."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from server.core.likelihood import Bernoulli
from server.core.model import Entry, ExecutionConfig, Model
from server.core.spec import Spec
from server.errors import NotFound, Unavailable

LATENT = 2
GRAPHS = {
    "encoder": lambda x: (x.reshape(-1, 4)[:, :2] * 4 - 2, x.reshape(-1, 4)[:, 2:] - 1),
    "decoder": lambda z: (1 / (1 + np.exp(-logits(z))), logits(z)),
}
CPU = ExecutionConfig("CPUExecutionProvider", 8, 2, 1, 1, "given", ())


def logits(z: np.ndarray) -> np.ndarray:
    return np.repeat(z, 2, axis=1).reshape(-1, 1, 2, 2)


def spec(**changes: Any) -> Spec:
    facts = {
        "digest": "d",
        "embedding_space": "e",
        "item_shape": (1, 2, 2),
        "value_range": (0.0, 1.0),
        "latent_size": LATENT,
        "likelihood": Bernoulli(),
        "learned_prior": False,
        "sampling_version": 1,
        "metrics": {},
        "elbo_percentiles": {"mean": np.linspace(-5, 0, 101), "draw": np.linspace(-8, 0, 101)},
        "nll_percentiles": {},
        "kl_percentiles": {},
    }
    return Spec(**(facts | changes))


@dataclass
class Shelf:
    """Models by name: the first entry of a name is its newest. Fulfils core.model.Models."""

    shelf: list[Entry]

    def entries(self) -> list[Entry]:
        return self.shelf

    @contextlib.contextmanager
    def lease(self, name: str, version: str, label: str) -> Iterator[Model]:
        yield self._find(name, version)

    def _find(self, name: str, version: str) -> Model:
        for entry in self.shelf:
            if entry.name == name and version in ("", entry.version):
                if entry.model is None:
                    raise Unavailable(f"{name} is {entry.state}")
                return entry.model
        raise NotFound(f"{name} has no version {version!r}")
