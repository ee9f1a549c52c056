"""ExportedModel: an artifact with tensors as inputs and outputs, run by the server's own engine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from server import artifact
from server.artifact import Artifact, GraphName, Manifest
from server.engine import engine
from server.engine.engine import Engine
from server.errors import ArtifactError
from training.errors import TrainingError
from training.model.likelihood import bernoulli_log_likelihood, gaussian_log_likelihood
from training.model.objective import Posterior, log_standard_normal

DECODER_ROWS = 64  # per run; with more rows convolutions on a CPU get slower
ENCODER_ROWS = 64


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """The networks of an artifact; what is measured by them is what the server serves."""

    engine: Engine

    @property
    def manifest(self) -> Manifest:
        return self.engine.manifest

    def encode(self, x: Tensor) -> Posterior:
        """x float32 [rows, *item] -> mean, log_var [rows, latent]."""
        mean, log_var = self._run("encoder", x, ENCODER_ROWS)
        return Posterior(mean, log_var)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z [rows, latent] -> mean [rows, *item], and the input of log_likelihood: logits, or a Gaussian's mean."""
        outputs = self._run("decoder", z, DECODER_ROWS)
        return outputs[0], outputs[-1]

    def from_noise(self, eps: Tensor) -> Tensor:
        """eps ~ N(0, I) [rows, latent] -> z ~ p(z) [rows, latent]."""
        return self._run("prior", eps, DECODER_ROWS)[0] if self.manifest.learned_prior else eps

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z); [rows]."""
        if not self.manifest.learned_prior:
            return log_standard_normal(z)
        return self._run("prior_log_density", z, 1024)[0]

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z) of x [rows, *item], given the second result of `decode`; [rows]."""
        sigma, scale = self.manifest.likelihood.sigma, self.manifest.likelihood.scale
        if sigma is None:
            return bernoulli_log_likelihood(x, output)
        units = None if scale is None else torch.tensor(scale).view(self.manifest.item.shape)
        return gaussian_log_likelihood(x, output, torch.tensor(sigma).log(), units)

    def _run(self, name: GraphName, rows: Tensor, at_once: int) -> tuple[Tensor, ...]:
        chunks = [self.engine.run(name, chunk.contiguous().numpy()) for chunk in torch.split(rows, at_once)]
        if len(chunks) == 1:
            return tuple(torch.from_numpy(output) for output in chunks[0])
        return tuple(torch.cat([torch.from_numpy(chunk) for chunk in output]) for output in zip(*chunks, strict=True))


def read_artifact(path: Path) -> Artifact:
    """Read an artifact by the server's reader, which verifies it.

    Raises TrainingError if there is no such folder, and ArtifactError, which names it, if the server would refuse it.
    """
    if not path.is_dir():
        raise TrainingError(f"{path}: no such artifact; give a folder exported/NAME/VERSION")
    with _naming(path):
        return artifact.read(path)


def load(path: Path, *, threads: int | None = None) -> ExportedModel:
    """Load an artifact on the CPU by the server's reader and loader, which verify it. Raises as `read_artifact` does.

    `threads` are those of onnxruntime (None: one per core).
    """
    threads = threads or cast(int, os.cpu_count())
    found = read_artifact(path)
    with _naming(path):
        return ExportedModel(engine.load(found, device="cpu", threads=threads))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the artifact's folder before the message of an ArtifactError, which names only the file inside it."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error
