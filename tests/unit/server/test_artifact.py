"""A broken artifact is refused with one clear line, whatever is wrong with it."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.artifacts import edit_manifest, replace_graph, write_artifact

from server import artifact
from server.engine import engine
from server.errors import ArtifactError


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("artifact") / "1", learned_prior=True)


@pytest.fixture
def path(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "1"))


def load(path: Path) -> engine.Engine:
    return engine.load(artifact.read(path))


def refusal(path: Path) -> str:
    with pytest.raises(ArtifactError) as error:
        load(path)
    line = str(error.value)
    assert "\n" not in line
    return line


def test_a_whole_artifact_loads_and_knows_its_graphs(path):
    loaded = load(path)
    assert set(loaded.graphs) == {"encoder", "decoder", "prior", "prior_log_density"}
    assert loaded.manifest.learned_prior
    mean, log_var = loaded.run("encoder", np.zeros((2, 1, 4, 4), np.float32))
    assert mean.shape == log_var.shape == (2, 3)


def test_a_manifest_survives_writing_and_reading(path):
    manifest = artifact.read(path).manifest
    (path / artifact.MANIFEST).write_text(manifest.to_json())
    artifact.write_sums(path)
    assert artifact.read(path).manifest == manifest


@pytest.mark.parametrize("name", ["encoder.onnx", "manifest.json", "golden.npz", "SHA256SUMS"])
def test_a_missing_file_is_named(path, name):
    (path / name).unlink()
    assert name in refusal(path)


def test_one_flipped_bit_is_found(path):
    content = bytearray((path / "decoder.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "decoder.onnx").write_bytes(content)
    assert refusal(path).startswith("decoder.onnx: sha256 is ")


def test_sums_and_manifest_must_agree(path):
    (path / "decoder.onnx").write_bytes((path / "prior.onnx").read_bytes())
    artifact.write_sums(path)
    assert refusal(path) == "decoder.onnx: manifest.json and SHA256SUMS disagree on its sha256"


def test_a_file_outside_the_sums_is_not_trusted(path):
    sums = (path / artifact.SUMS).read_text().splitlines(keepends=True)
    (path / artifact.SUMS).write_text("".join(line for line in sums if "golden" not in line))
    assert refusal(path) == "golden.npz: not listed in SHA256SUMS"


@pytest.mark.parametrize("line", ["x" * 64 + "  a.onnx", "0" * 64 + "  ../a.onnx", "0" * 64 + "  .hidden"])
def test_sums_that_are_not_plain_files_are_refused(path, line):
    with (path / artifact.SUMS).open("a") as sums:
        sums.write(line + "\n")
    assert "SHA256SUMS: not a line of sha256sum" in refusal(path)


def test_a_symbolic_link_is_refused(path, tmp_path):
    shutil.move(path / "decoder.onnx", tmp_path / "elsewhere.onnx")
    (path / "decoder.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    assert refusal(path) == "decoder.onnx: is a symbolic link; artifacts hold plain files"


@pytest.mark.parametrize("version", [2, "1", None])
def test_an_unknown_format_version_is_refused(path, version):
    edit_manifest(path, format_version=version)
    assert refusal(path) == f"manifest.json: format_version is {version!r}; this server reads 1"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"latent_size": 0}, "latent_size is 0; it must be at least 1"),
        ({"sampling_version": 9}, "sampling_version is 9"),
        ({"likelihood": {"name": "poisson", "sigma": None}}, "allowed: bernoulli, gaussian"),
        ({"likelihood": {"name": "gaussian", "sigma": None}}, "gaussian needs one above 0"),
        ({"likelihood": {"name": "bernoulli", "sigma": None, "scale": [1.0] * 16}}, "only gaussian may have a scale"),
        ({"item": {"kind": "image", "shape": [4, 4], "range": [0, 1]}}, "does not fit image"),
        ({"item": {"kind": "image", "shape": [1, 4, 4], "range": [1, 0]}}, "not a finite, non-empty interval"),
        ({"graphs": {}}, "must name encoder and decoder"),
        ({"held_out": {}}, "held_out.mean.elbo needs 101 percentiles"),
        ({"latent_mean": [0.0]}, "latent_mean needs 3 values"),
        ({"metrics": None}, "incomplete or malformed"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(path, changes, says):
    edit_manifest(path, **changes)
    assert says in refusal(path)


def test_a_manifest_that_is_not_json_is_refused(path):
    (path / artifact.MANIFEST).write_text("{")
    artifact.write_sums(path)
    assert "is not JSON" in refusal(path)


def graph(inputs, outputs, nodes) -> onnx.ModelProto:
    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    body = helper.make_graph(nodes, "g", [info(*i) for i in inputs], [info(*o) for o in outputs])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


IDENTITY = [helper.make_node("Identity", ["eps"], ["z"])]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (graph([("eps", ["batch", 7])], [("z", ["batch", 7])], IDENTITY), "input 'eps' is tensor(float) ['batch', 7]"),
        (graph([("eps", [5, 3])], [("z", [5, 3])], IDENTITY), "it must be tensor(float) ['batch', 3]"),
        (
            graph([("noise", ["batch", 3])], [("z", ["batch", 3])], [helper.make_node("Identity", ["noise"], ["z"])]),
            "input 'noise' is not in the contract",
        ),
    ],
)
def test_a_graph_with_the_wrong_tensors_is_refused(path, model, says):
    replace_graph(path, "prior", model)
    assert refusal(path).startswith("prior.onnx: ")
    assert says in refusal(path)


def test_a_graph_that_computes_something_else_is_caught_by_the_golden_outputs(path):
    replace_graph(path, "prior", graph([("eps", ["batch", 3])], [("z", ["batch", 3])], IDENTITY))
    assert "golden.npz: prior.z differs by 0.5 from what training saw" in refusal(path)


def test_a_file_that_is_no_graph_is_refused(path):
    replace_graph(path, "prior", onnx.ModelProto())
    assert refusal(path).startswith("prior.onnx: onnxruntime cannot load it")


def test_external_data_is_not_read_wherever_it_lies(path, tmp_path, monkeypatch):
    """Weights hidden in another file would escape the digests."""
    model = onnx.load(path / "decoder.onnx")
    weight = model.graph.initializer[0]
    for folder in (tmp_path, path):
        (folder / "w.bin").write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "w.bin"
    replace_graph(path, "decoder", model)
    for folder in (tmp_path, path):
        monkeypatch.chdir(folder)
        line = refusal(path)
        assert line.startswith("decoder.onnx: onnxruntime cannot load it: ")
        assert "External data path" in line


def test_an_operator_of_our_own_is_refused(path):
    node = helper.make_node("Mystery", ["eps"], ["z"], domain="com.example")
    model = graph([("eps", ["batch", 3])], [("z", ["batch", 3])], [node])
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    replace_graph(path, "prior", model)
    assert refusal(path).startswith("prior.onnx: onnxruntime cannot load it")


def test_a_broken_golden_archive_is_refused(path):
    (path / "golden.npz").write_bytes(b"PK\x03\x04 nothing")
    artifact.write_sums(path)
    assert refusal(path).startswith("golden.npz: cannot be read")


def test_golden_outputs_that_are_missing_are_named(path):
    np.savez(path / "golden.npz", x=np.zeros((16, 1, 4, 4), np.float32))
    artifact.write_sums(path)
    assert refusal(path) == "golden.npz: has no array 'z'"


def test_a_file_changed_after_it_was_verified_is_not_run(path):
    verified = artifact.read(path)
    (path / "prior.onnx").write_bytes(b"")
    with pytest.raises(ArtifactError, match="changed while it was being loaded"):
        engine.load(verified)


def test_the_digest_changes_with_the_weights_and_the_embedding_space_only_with_the_encoder(path, tmp_path):
    other = artifact.read(write_artifact(tmp_path / "other", learned_prior=True, seed=1)).manifest
    mine = artifact.read(path).manifest
    assert mine.digest != other.digest
    assert mine.embedding_space != other.embedding_space
    before = mine.embedding_space
    replace_graph(path, "decoder", onnx.load(tmp_path / "other" / "decoder.onnx"))
    changed = artifact.read(path).manifest
    assert (changed.digest != mine.digest, changed.embedding_space) == (True, before)


TABLE = {"item_shape": (3,), "likelihood": "gaussian"}


@pytest.mark.parametrize("scale", [[1.0, 2.0], [1.0, 2.0, 0.0], [1.0, 2.0, float("nan")], []])
def test_a_scale_that_does_not_fit_the_items_is_refused(scale, tmp_path):
    path = write_artifact(tmp_path / "1", **TABLE)
    edit_manifest(path, likelihood={"name": "gaussian", "sigma": 0.5, "scale": scale})
    assert "likelihood.scale needs 3 finite values above 0" in refusal(path)


def test_a_manifest_from_before_there_was_a_scale_is_read_and_keeps_its_digest(tmp_path):
    path = write_artifact(tmp_path / "1", **TABLE)
    written = artifact.read(path).manifest
    edit_manifest(path, likelihood={"name": "gaussian", "sigma": 0.25})
    old = artifact.read(path).manifest
    assert old == written
    assert old.likelihood.scale is None
    facts = {
        "graphs": {name: graph.sha256 for name, graph in old.graphs.items()},
        "item": {"kind": "table", "shape": [3], "range": None},
        "likelihood": {"name": "gaussian", "sigma": 0.25},
        "sampling_version": 1,
    }
    assert old.digest == hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def test_another_scale_is_another_model_in_the_same_embedding_space(tmp_path):
    """Draws and scores change, encodings do not."""
    path = write_artifact(tmp_path / "1", **TABLE, scale=(1.0, 2.0, 3.0))
    before = artifact.read(path).manifest
    assert before.likelihood.scale == (1.0, 2.0, 3.0)
    edit_manifest(path, likelihood={"name": "gaussian", "sigma": 0.25, "scale": [1.0, 2.0, 4.0]})
    after = artifact.read(path).manifest
    assert (after.digest != before.digest, after.embedding_space) == (True, before.embedding_space)


def test_golden_outputs_in_units_of_their_own_are_compared_in_those(tmp_path):
    """An error of a millionth is nothing for a column of millions, and everything for one of millionths."""
    path = write_artifact(tmp_path / "1", **TABLE, scale=(1e6, 1.0, 1e-6))
    with np.load(path / "golden.npz") as archive:
        golden = dict(archive)
    for column, error, accepted in ((0, 100.0, True), (0, 1e5, False), (2, 1e-10, True), (2, 1e-6, False)):
        mean = golden["decoder.mean"].astype(np.float64)
        mean[0] = (1.0, 1.0, 1e-6)  # smaller than an error that is allowed in the first column
        near = mean.copy()
        near[0, column] += error
        measured = engine.relative_error(artifact.read(path).manifest, "decoder.mean", near, mean)
        assert (measured <= engine.GOLDEN_TOLERANCE) == accepted
    golden["decoder.mean"][3, 2] += 1.0
    np.savez(path / "golden.npz", **golden)
    artifact.write_sums(path)
    assert "golden.npz: decoder.mean differs by" in refusal(path)


@pytest.mark.parametrize(
    ("precision", "error", "accepted"),
    [("fp32", 5e-4, True), ("fp32", 5e-3, False), ("fp16", 5e-3, True), ("fp16", 5e-2, False)],
)
def test_golden_outputs_are_held_to_the_precision_that_the_manifest_names(path, precision, error, accepted):
    with np.load(path / "golden.npz") as archive:
        golden = dict(archive)
    golden["decoder.mean"][2] += error
    np.savez(path / "golden.npz", **golden)
    edit_manifest(path, precision=precision)
    if accepted:
        engine.load(artifact.read(path))
    else:
        assert "golden.npz: decoder.mean differs by" in refusal(path)


def test_a_manifest_without_a_precision_is_of_fp32_and_an_unknown_one_is_refused(path):
    facts = json.loads((path / "manifest.json").read_text())
    del facts["precision"]
    (path / "manifest.json").write_text(json.dumps(facts))
    artifact.write_sums(path)
    assert artifact.read(path).manifest.precision == "fp32"
    edit_manifest(path, precision="int4")
    assert refusal(path) == "manifest.json: precision is 'int4'; allowed: fp32, fp16"


def test_cuda_is_refused_outright_where_there_is_none_and_auto_takes_the_cpu(path):
    if "CUDAExecutionProvider" in engine.ort.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(engine.DeviceUnavailable, match=r"install vaeserve\[gpu\]"):
        engine.load(artifact.read(path), device="cuda")
    assert engine.load(artifact.read(path), device="auto").provider == "CPUExecutionProvider"


def test_two_runtimes_in_one_folder_are_refused(monkeypatch):
    monkeypatch.setattr(engine, "version", lambda name: "1.0")
    with pytest.raises(engine.DeviceUnavailable, match="uninstall one"):
        engine.refuse_two_runtimes()
