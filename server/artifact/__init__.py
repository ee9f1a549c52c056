"""The artifact: the folder exported/<model>/<version>/ that training writes and the server reads and verifies.

It uses only the standard library, so that other programs can read and write artifacts with it. The layout:

    encoder.onnx              x float32 [batch, *item] -> mean, logvar float32 [batch, latent]
    decoder.onnx              z float32 [batch, latent] -> mean [batch, *item], and logits for Bernoulli
    prior.onnx                only with a learned prior: eps [batch, latent] -> z [batch, latent]
    prior_log_density.onnx    only with a learned prior: z [batch, latent] -> log_density [batch], nats
    manifest.json             item, likelihood, graphs, metrics, provenance (server.artifact.manifest)
    golden.npz                16 items and latents, with the outputs that torch computed for them
    MODEL_CARD.md, samples.png, SHA256SUMS
"""

from server.artifact.folder import Artifact, read, sha256_of, write_sums
from server.artifact.manifest import (
    FORMAT_VERSION,
    GOLDEN,
    GRAPH_INPUT,
    MANIFEST,
    PERCENTILES,
    SAMPLING_VERSION,
    SUMS,
    Graph,
    GraphName,
    Item,
    ItemKind,
    LatentMode,
    Likelihood,
    LikelihoodName,
    Manifest,
    Precision,
    graph_outputs,
)

__all__ = [
    "FORMAT_VERSION",
    "GOLDEN",
    "GRAPH_INPUT",
    "MANIFEST",
    "PERCENTILES",
    "SAMPLING_VERSION",
    "SUMS",
    "Artifact",
    "Graph",
    "GraphName",
    "Item",
    "ItemKind",
    "LatentMode",
    "Likelihood",
    "LikelihoodName",
    "Manifest",
    "Precision",
    "graph_outputs",
    "read",
    "sha256_of",
    "write_sums",
]
