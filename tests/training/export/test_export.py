"""An exported artifact is complete, loadable, equal to torch, reproducible, and without traces of the machine."""

import dataclasses
import errno
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from server import artifact as contract
from server.engine import engine
from training.datasets import Dataset
from training.errors import TrainingError
from training.evaluation import exported_model
from training.export import export, graphs, parity
from training.export.golden import inputs
from training.model.vae import Vae
from training.run import checkpoint, session
from training.run.session import Session

FILES = {
    "encoder.onnx",
    "decoder.onnx",
    "prior.onnx",
    "prior_log_density.onnx",
    "golden.npz",
    "manifest.json",
    "MODEL_CARD.md",
    "samples.png",
    "reconstructions.png",
    "latent_kl.png",
    "SHA256SUMS",
}


@pytest.fixture
def model(trained: Session) -> Vae:
    return session.trained_model(checkpoint.read(trained.run.checkpoint))[0]


def digests(path: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.iterdir()}


def test_the_server_reads_and_loads_it(artifact: Path) -> None:
    read = contract.read(artifact)
    assert {file.name for file in artifact.iterdir()} == FILES
    assert set(read.files) == FILES - {"SHA256SUMS"}
    assert engine.load(read).provider == "CPUExecutionProvider"
    assert read.manifest.learned_prior


def test_exporting_again_gives_the_same_bytes(
    artifact: Path, model: Vae, trained: Session, digits: Dataset, tmp_path: Path
) -> None:
    _, chosen = session.trained_model(checkpoint.read(trained.run.checkpoint))
    export.export(
        model,
        digits,
        provenance={**trained.provenance, **chosen},
        out=tmp_path / "again",
    )
    assert digests(tmp_path / "again") == digests(artifact)


def test_the_graphs_compute_what_torch_computes(artifact: Path, model: Vae, digits: Dataset) -> None:
    loaded = exported_model.load(artifact).engine
    rows = inputs(model, digits.validation.rows, count=64)
    for name, module in graphs.modules(model).items():
        for batch in (1, 2, 7, 64):
            with torch.inference_mode():
                expected = module(rows[name][:batch])
            for got, wanted in zip(loaded.run(name, rows[name][:batch].numpy()), expected, strict=True):
                np.testing.assert_allclose(got, wanted.numpy(), atol=1e-4, rtol=1e-4)


def test_a_row_has_the_same_bytes_in_any_batch(artifact: Path) -> None:
    """This CPU's onnxruntime keeps the promise for every graph of this model, and the manifest says so."""
    seen = contract.read(artifact).manifest.provenance["parity"]["rows_bit_identical"]
    assert seen == dict.fromkeys(("encoder", "decoder", "prior", "prior_log_density"), True)


def test_a_graph_that_differs_from_torch_is_refused(artifact: Path, model: Vae, digits: Dataset) -> None:
    rows = inputs(model, digits.validation.rows, count=64)
    with torch.no_grad():
        model.encoder.mean.bias.add_(0.01)
    with pytest.raises(TrainingError, match=r"export of encoder: mean differs from torch by 0\.0"):
        parity.prove(artifact, graphs.modules(model), rows)


def test_the_graphs_hold_no_trace_of_the_machine(artifact: Path) -> None:
    for file in artifact.glob("*.onnx"):
        content = file.read_bytes()
        for trace in (b"/work", b"/home", b"/tmp", b"site-packages", b'File "', b"stack_trace"):
            assert trace not in content, (file.name, trace)
        graph = onnx.load_from_string(content).graph
        assert not graph.value_info
        assert not any(node.metadata_props or node.doc_string for node in graph.node)


def test_the_only_free_dimension_is_named_batch(artifact: Path) -> None:
    for file in artifact.glob("*.onnx"):
        graph = onnx.load(file).graph
        for tensor in (*graph.input, *graph.output):
            first, *others = tensor.type.tensor_type.shape.dim
            assert first.dim_param == "batch"
            assert all(dim.dim_value > 0 for dim in others)


def test_no_randomness_is_in_any_graph(artifact: Path) -> None:
    used = {node.op_type for file in artifact.glob("*.onnx") for node in onnx.load(file).graph.node}
    assert not {op for op in used if "Random" in op or op in ("Bernoulli", "Multinomial", "Dropout")}


def test_golden_outputs_are_torchs(artifact: Path, model: Vae) -> None:
    with np.load(artifact / "golden.npz") as golden:
        assert set(golden) == {
            "x",
            "z",
            "eps",
            "encoder.mean",
            "encoder.logvar",
            "decoder.mean",
            "decoder.logits",
            "prior.z",
            "prior_log_density.log_density",
        }
        assert {len(array) for array in golden.values()} == {16}
        with torch.inference_mode():
            expected = model.decoder(torch.from_numpy(golden["z"])).numpy()
        np.testing.assert_array_equal(golden["decoder.logits"], expected)


def test_the_manifest_says_where_it_comes_from(artifact: Path, trained: Session, digits: Dataset) -> None:
    manifest = contract.read(artifact).manifest
    assert manifest.provenance["config"] == json.loads(json.dumps(trained.config.to_mapping()))
    assert manifest.provenance["data"]["sha256"] == digits.sha256
    assert manifest.provenance["libraries"]["torch"].startswith("2.")
    assert manifest.provenance["epochs"] == 15
    assert set(manifest.metrics) >= {"elbo", "nll", "nll_standard_error", "reconstruction_nll", "kl", "active_units"}
    assert manifest.metrics["elbo"] < -manifest.metrics["nll"]


def test_no_path_of_this_machine_is_in_the_manifest_or_the_card(artifact: Path, trained: Session) -> None:
    for name in ("manifest.json", "MODEL_CARD.md"):
        assert str(trained.run.path.parents[1]) not in (artifact / name).read_text()
        assert str(Path.home()) not in (artifact / name).read_text()


def test_percentiles_are_of_rows_as_a_client_sends_them(artifact: Path, digits: Dataset) -> None:
    model = exported_model.load(artifact)
    x = digits.validation.rows.float() / 255
    posterior = model.encode(x)
    nll = -model.log_likelihood(x, model.decode(posterior.mean)[1])
    percentiles = model.manifest.held_out["mean"]["reconstruction_nll"]
    assert percentiles[0] == pytest.approx(nll.min().item(), rel=1e-6)
    assert percentiles[50] == pytest.approx(nll.double().quantile(0.5).item(), rel=1e-6)
    assert percentiles[100] == pytest.approx(nll.max().item(), rel=1e-6)
    np.testing.assert_allclose(model.manifest.latent_mean, posterior.mean.mean(0).numpy(), atol=1e-5)
    np.testing.assert_allclose(model.manifest.latent_covariance, np.cov(posterior.mean.T.numpy()), atol=1e-5)


def test_pictures_show_what_they_should(artifact: Path) -> None:
    with Image.open(artifact / "samples.png") as samples:
        assert samples.size == (8 * (96 + 4) + 4, 8 * (96 + 4) + 4)
        assert not samples.info  # no dates, no software
    with Image.open(artifact / "reconstructions.png") as reconstructions:
        assert reconstructions.size == (8 * (96 + 4) + 4, 8 * (96 + 4) + 4)
    with Image.open(artifact / "latent_kl.png") as bars:
        assert bars.size == (800, 320)


def test_the_card_shows_its_pictures_and_figures(artifact: Path) -> None:
    card = (artifact / "MODEL_CARD.md").read_text()
    nll = contract.read(artifact).manifest.metrics["nll"]
    for part in ("samples.png", "reconstructions.png", "latent_kl.png", f"{nll:.2f} ±", "Bernoulli", "RealNVP"):
        assert part in card


def test_an_artifact_is_never_overwritten(artifact: Path, model: Vae, digits: Dataset) -> None:
    before = digests(artifact)
    with pytest.raises(TrainingError, match="exists already; versions are never overwritten"):
        export.export(model, digits, provenance={}, out=artifact)
    assert digests(artifact) == before


def test_a_failed_export_leaves_nothing_behind(
    model: Vae, trained: Session, artifact: Path, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its last step, with the graphs that were made before."""
    monkeypatch.setattr(graphs, "to_onnx", lambda model, name: (artifact / f"{name}.onnx").read_bytes())

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    for failure, error in ((full, OSError), (interrupted, KeyboardInterrupt)):
        monkeypatch.setattr(contract, "write_sums", failure)
        with pytest.raises(error):
            export.export(model, digits, provenance=trained.provenance, out=tmp_path / "exported" / "1")
        assert list(tmp_path.iterdir()) == []


def test_a_gaussian_is_exported_with_its_sigma(digits: Dataset, trained: Session, tmp_path: Path) -> None:
    config = dataclasses.replace(trained.config, likelihood="gaussian", sigma=0.25, prior=None)
    model = Vae(config, (1, 8, 8)).requires_grad_(False)
    provenance = {**trained.provenance, "config": config.to_mapping(), "epochs": 0, "chosen_epoch": None}
    export.export(model, digits, provenance=provenance, out=tmp_path / "1")
    manifest = contract.read(tmp_path / "1").manifest
    assert manifest.likelihood == contract.Likelihood("gaussian", pytest.approx(0.25))
    assert set(manifest.graphs) == {"encoder", "decoder"}
    assert manifest.graphs["decoder"].outputs == ("mean",)
