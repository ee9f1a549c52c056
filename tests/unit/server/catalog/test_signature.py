"""Only artifacts signed with the operator's key are served."""

import shutil
from pathlib import Path

import pytest
from support.artifacts import write_artifact
from support.signer import Signer

from server.catalog import signature
from server.errors import ArtifactError, StartFailed


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Signer:
    return Signer(tmp_path_factory.mktemp("keys"), "ours")


@pytest.fixture
def artifact(ours, tmp_path) -> Path:
    path = write_artifact(tmp_path / "tiny" / "1")
    ours.sign(path)
    return path


def test_a_signed_artifact_is_accepted_in_any_folder(ours, artifact, tmp_path):
    check = signature.of(str(ours.public))
    check(artifact)
    check(shutil.copytree(artifact, tmp_path / "other" / "7"))


def test_without_the_setting_no_signature_is_required(tmp_path):
    signature.of("")(tmp_path)


def test_an_artifact_without_a_signature_is_refused(ours, artifact):
    (artifact / signature.SIGNATURE).unlink()
    with pytest.raises(ArtifactError, match=r"model\.sig: is missing"):
        signature.of(str(ours.public))(artifact)


def test_a_signature_by_another_key_is_refused(ours, artifact, tmp_path):
    Signer(tmp_path, "theirs").sign(artifact)
    with pytest.raises(ArtifactError, match=r"model\.sig: does not prove this artifact: Key mismatch"):
        signature.of(str(ours.public))(artifact)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: (path / "manifest.json").write_text("{}"), "Hash mismatch for 'manifest.json'"),
        (lambda path: (path / "added").write_text("x"), "added"),
        (lambda path: (path / "decoder.onnx").unlink(), "decoder.onnx"),
        (lambda path: (path / signature.SIGNATURE).write_text("{}"), ""),
        (lambda path: (path / signature.SIGNATURE).write_bytes(b"\xff"), ""),
    ],
    ids=["altered", "added", "removed", "empty", "rubbish"],
)
def test_any_difference_from_the_signed_files_is_refused(ours, artifact, change, told):
    change(artifact)
    with pytest.raises(ArtifactError, match=f"does not prove this artifact: .*{told}"):
        signature.of(str(ours.public))(artifact)


def test_a_key_that_cannot_be_used_ends_the_start(tmp_path):
    for content in (None, "rubbish"):
        file = tmp_path / "key.pub"
        if content:
            file.write_text(content)
        with pytest.raises(StartFailed, match=r"--model-signature-key: .*is not a readable public key"):
            signature.of(str(file))
