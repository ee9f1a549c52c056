"""The artifacts checked in under exported/ load, give their golden outputs and are replayable."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from server import artifact
from server.engine import engine

EXPORTED = Path(__file__).parents[2] / "exported"
SHIPPED = sorted(path.parent for path in EXPORTED.glob("*/*/manifest.json"))
NAMES = [f"{path.parent.name}/{path.name}" for path in SHIPPED]
MAX_MEGABYTES = 24  # two models of 10.5


def test_the_mnist_model_is_shipped():
    assert "mnist/1" in NAMES


@pytest.mark.parametrize("path", SHIPPED, ids=NAMES)
def test_it_loads_and_gives_its_golden_outputs(path):
    # Loading compares every graph with golden.npz: torch's outputs, made by `python -m training export`.
    loaded = engine.load(artifact.read(path))
    assert loaded.provider == "CPUExecutionProvider"


@pytest.mark.parametrize("path", SHIPPED, ids=NAMES)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_has_the_same_bits_in_every_batch(path, threads):
    """Replayable rows depend on this: every graph, batch sizes 1 to 64, one and two threads."""
    verified = artifact.read(path)
    single = engine.load(verified, threads=1)
    loaded = engine.load(verified, threads=threads)
    random = np.random.default_rng(0)
    for name, graph in loaded.graphs.items():
        shape = verified.manifest.item.shape if name == "encoder" else (verified.manifest.latent_size,)
        rows = random.random((64, *shape), np.float32)
        alone = [
            np.concatenate(o) for o in zip(*(single.graphs[name](rows[i : i + 1]) for i in range(64)), strict=True)
        ]
        for size in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64):
            for output, expected in zip(graph(rows[:size]), alone, strict=True):
                assert output.tobytes() == expected[:size].tobytes(), f"{name}, {size} rows, {threads} threads"


@pytest.mark.parametrize("path", SHIPPED, ids=NAMES)
def test_its_graphs_hold_nothing_that_could_have_been_computed_at_export(path, tmp_path):
    """onnxruntime's basic optimisations, constant folding among them, find nothing to do."""
    options = engine.ort.SessionOptions()
    options.graph_optimization_level = engine.ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    for file in sorted(path.glob("*.onnx")):
        options.optimized_model_filepath = str(tmp_path / file.name)
        engine.ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        as_exported, optimised = (
            Counter(node.op_type for node in onnx.load(graph).graph.node) for graph in (file, tmp_path / file.name)
        )
        assert as_exported == optimised, file.name


@pytest.mark.parametrize("path", SHIPPED, ids=NAMES)
def test_its_card_and_pictures_are_there(path):
    card = (path / "MODEL_CARD.md").read_text()
    assert "samples.png" in card
    assert (path / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_all_artifacts_together_stay_small():
    megabytes = sum(file.stat().st_size for file in EXPORTED.rglob("*") if file.is_file()) / 1e6
    assert megabytes < MAX_MEGABYTES
