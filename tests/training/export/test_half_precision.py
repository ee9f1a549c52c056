"""An artifact converted to float16 is a complete artifact of its own, near the one it comes from."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from server import artifact as contract
from server.artifact import manifest_reader
from server.engine import engine
from server.errors import ArtifactError
from training.commands import cli
from training.errors import TrainingError
from training.export import half_precision

PARITY = 1e-2  # engine.relative_error; float16 has three digits


@pytest.fixture(scope="module")
def halved(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained digits in float16; do not write into it."""
    out = tmp_path_factory.mktemp("halved") / "digits" / "2"
    cli.main(["convert", str(artifact), "--out", str(out), "--precision", "fp16"], standalone_mode=False)
    return out


def test_the_server_loads_it_and_its_answers_are_near_those_in_fp32(artifact: Path, halved: Path) -> None:
    fp32, fp16 = engine.load(contract.read(artifact)), engine.load(contract.read(halved))
    with np.load(artifact / "golden.npz") as golden:
        for name in ("encoder", "decoder", "prior", "prior_log_density"):
            graph = fp32.manifest.graphs[name]
            rows = golden[graph.inputs[0]]
            for output, got, expected in zip(graph.outputs, fp16.run(name, rows), fp32.run(name, rows), strict=True):
                assert got.dtype == np.float32
                assert engine.relative_error(fp32.manifest, f"{name}.{output}", got, expected) <= PARITY


def test_weights_are_halves_and_the_learned_prior_stays_as_it_was(artifact: Path, halved: Path) -> None:
    for name in ("encoder", "decoder"):
        types = {tensor.data_type for tensor in onnx.load(halved / f"{name}.onnx").graph.initializer}
        assert TensorProto.FLOAT16 in types
        assert TensorProto.FLOAT not in types
    for name in ("prior", "prior_log_density"):
        assert (halved / f"{name}.onnx").read_bytes() == (artifact / f"{name}.onnx").read_bytes()


def test_it_is_another_model_in_another_embedding_space_that_says_where_it_comes_from(
    artifact: Path, halved: Path
) -> None:
    fp32, fp16 = contract.read(artifact).manifest, contract.read(halved).manifest
    assert (fp32.precision, fp16.precision) == ("fp32", "fp16")
    assert fp16.digest != fp32.digest
    assert fp16.embedding_space != fp32.embedding_space
    assert fp16.provenance["converted"]["from"] == fp32.digest
    assert 0.0 < fp16.provenance["parity"]["max_error"]["decoder.logits"] <= PARITY
    assert fp16.provenance["parity"]["max_error"]["prior.z"] == 0.0
    assert "encoder and decoder were converted to fp16" in (halved / "MODEL_CARD.md").read_text()


def test_it_is_proved_against_what_torch_computed_in_fp32(artifact: Path, halved: Path) -> None:
    assert (halved / "golden.npz").read_bytes() == (artifact / "golden.npz").read_bytes()


def test_converting_again_gives_the_same_bytes(artifact: Path, halved: Path, tmp_path: Path) -> None:
    again = half_precision.convert(artifact, precision="fp16", out=tmp_path / "1").path
    assert (again / "SHA256SUMS").read_text() == (halved / "SHA256SUMS").read_text()


def test_only_an_fp32_artifact_can_be_converted(halved: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is fp16 already"):
        half_precision.convert(halved, precision="fp16", out=tmp_path / "1")


def test_a_variant_too_far_from_torch_is_refused_and_leaves_nothing_behind(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(graph: bytes) -> bytes:
        model = onnx.load_from_string(graph)
        weight = model.graph.initializer[0]
        values = onnx.numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.numpy_helper.from_array((values * 1.5).astype(values.dtype), weight.name))
        return model.SerializeToString()

    monkeypatch.setattr(half_precision, "half", careless)
    with pytest.raises(ArtifactError, match=r"differs by .* allowed 0\.02"):
        half_precision.convert(artifact, precision="fp16", out=tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


def test_tables_are_refused_for_their_units(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = contract.read(artifact)
    facts = json.loads(read.manifest.to_json())
    facts["item"] |= {"kind": "table", "shape": [64]}
    monkeypatch.setattr(contract, "read", lambda path: contract.Artifact(path, manifest_reader._parse(facts)))
    with pytest.raises(TrainingError, match="is of a table"):
        half_precision.convert(artifact, precision="fp16", out=tmp_path / "1")
