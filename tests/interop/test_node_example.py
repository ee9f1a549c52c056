"""examples/node, as a reader runs it, against every transport."""

import shutil
import subprocess
from pathlib import Path

import pytest
from support.artifacts import write_artifact
from support.server import server
from support.transports import TRANSPORTS

import vaeserve

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed"),
]
EXAMPLE = Path(__file__).parents[2] / "examples" / "node" / "example.js"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_example_gets_what_the_python_client_gets(transport: str, tmp_path: Path):
    write_artifact(tmp_path / "models" / "tiny" / "1")
    with server(tmp_path / "models", "--transport", transport) as process:
        told = subprocess.run(
            ["node", EXAMPLE, process.target], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100
        )
        with vaeserve.Client(process.target) as client:
            samples = client.sample(4, seed=5)
            posteriors = client.encode(samples.items)
            again = client.reconstruct(samples.items)
            png = client.sample(1, seed=5, encoding="png").png[0]
    assert told.stdout.splitlines() == [
        "model tiny/1: items 1 x 4 x 4",
        "sampled 4 x 1 x 4 x 4, seed 5",
        f"encoded into 4 x 3, space {posteriors.embedding_space[:12]}",
        f"first latent {posteriors.mean[0, 0]:.4f}",
        f"ELBO of the first {again.elbo[0]:.4f} nats",
        "too late: DEADLINE_EXCEEDED",
        "refused: INVALID_ARGUMENT items.shape",
        "must be [1..4096, 1, 4, 4], got [1, 3]",
    ]
    assert (tmp_path / "sample.png").read_bytes() == png


def test_without_a_server_it_says_so_in_one_line_and_exits_with_1():
    told = subprocess.run(["node", EXAMPLE, "127.0.0.1:1"], capture_output=True, text=True, check=False, timeout=100)
    assert told.returncode == 1
    assert told.stderr.startswith("127.0.0.1:1: UNAVAILABLE ")
    assert len(told.stderr.splitlines()) == 1
