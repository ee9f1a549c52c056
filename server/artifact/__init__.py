"""The contract between training and serving: a folder exported/<model>/<version>/ and what must be true of it.

Standard library only, so that whoever writes or reads an artifact needs nothing else. The layout:

    encoder.onnx              x float32 [batch, *item] -> mean, logvar float32 [batch, latent]
    decoder.onnx              z float32 [batch, latent] -> mean [batch, *item], and logits for Bernoulli
    prior.onnx                optional learned prior: eps [batch, latent] -> z [batch, latent]
    prior_log_density.onnx    with it: z [batch, latent] -> log_density [batch], nats
    manifest.json             what this module reads and writes
    golden.npz                16 inputs and latents with the outputs that training saw
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
