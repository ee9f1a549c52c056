"""Facts about the repository that a machine can check."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_the_checked_in_stubs_are_those_of_the_proto(tmp_path):
    """`make proto` remakes them."""
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-Iproto", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}",
         f"--grpc_python_out={tmp_path}", "proto/vaeserve/v1/vaeserve.proto"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    made = sorted((tmp_path / "vaeserve" / "v1").iterdir())
    assert len(made) == 3
    for file in made:
        assert file.read_text() == (ROOT / "vaeserve" / "v1" / file.name).read_text(), file.name


def test_the_checked_in_descriptors_of_the_open_inference_protocol_are_those_of_the_proto(tmp_path):
    """`make proto` remakes them."""
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-Iproto/inference", f"--pyi_out={tmp_path}",
         f"--descriptor_set_out={tmp_path}/open_inference.binpb", "proto/inference/open_inference.proto"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    made = sorted(tmp_path.iterdir())
    assert len(made) == 2
    for file in made:
        assert file.read_bytes() == (ROOT / "server" / "edge" / "inference_v2" / file.name).read_bytes(), file.name


def test_imports_run_one_way():
    """The contracts are in pyproject.toml; `make lint` runs them too."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_no_tracked_file_names_a_machine_or_a_package_index():
    pattern = re.compile(rb"(^|[\"'= ])/(root|work|srv|home)/|https?://[^ ]*/(simple|packages)/", re.MULTILINE)
    guilty = [str(path.relative_to(ROOT)) for path in tracked() if pattern.search(path.read_bytes())]
    assert guilty == []


def test_constraints_pin_exact_versions_and_no_address():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines
    assert all(re.match(r"[A-Za-z0-9._-]+==\S+", line) for line in lines)
    assert not any("://" in line for line in lines)
