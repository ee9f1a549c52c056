"""The public client and the command line against a real server."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaeserve

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


@pytest.fixture
def client(shared) -> Iterator[vaeserve.Client]:
    with vaeserve.Client(shared.target) as connected:
        yield connected


def items(rows: int) -> np.ndarray:
    return np.random.default_rng(0).random((rows, 1, 4, 4)).astype(np.float32)


def test_every_rpc_answers_in_numpy(client):
    samples = client.sample(100, seed=5, want_latents=True)
    assert (samples.items.shape, samples.latents.shape, samples.seed) == ((100, 1, 4, 4), (100, 3), 5)
    np.testing.assert_array_equal(client.sample(1, seed=5, first_row=7).items[0], samples.items[7])
    np.testing.assert_array_equal(client.decode(samples.latents).items, samples.items)
    posteriors = client.encode(items(4), draws=2, want_kl=True)
    assert (posteriors.mean.shape, posteriors.draws.shape, posteriors.kl.shape) == ((4, 3), (4, 2, 3), (4,))
    again = client.reconstruct(items(4))
    np.testing.assert_allclose(again.elbo, -again.reconstruction_nll - again.kl, rtol=1e-6)
    assert again.timing.batch_rows >= 4
    assert [summary.model.name for summary in client.list_models()] == ["learned", "table", "tiny"]
    assert client.using("table").get_model().item_shape == (5,)
    assert client.health() == "SERVING"


def test_the_async_client_answers_alike(shared, client):
    async def ask() -> np.ndarray:
        async with vaeserve.AsyncClient(shared.target) as asynchronous:
            several = await asyncio.gather(*(asynchronous.sample(2, seed=seed) for seed in range(8)))
        return np.stack([samples.items for samples in several])

    np.testing.assert_array_equal(asyncio.run(ask()), [client.sample(2, seed=seed).items for seed in range(8)])


def test_errors_come_typed_and_name_the_field(client):
    with pytest.raises(vaeserve.InvalidInput, match=r"items\.shape must be \[1\.\.4096, 1, 4, 4\]"):
        client.encode(np.zeros((2, 1, 5, 5), np.float32))
    with pytest.raises(vaeserve.NotFound, match="no model 'x'"):
        client.using("x").sample(1)
    with pytest.raises(vaeserve.EmbeddingSpaceMismatch):
        client.encode(items(1), expect_embedding_space="another")


def width(picture: Path) -> int:
    with Image.open(picture) as image:
        return image.size[0]


def command(*arguments: str, target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("vaeserve"), *arguments, "--target", target],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_line_makes_a_picture_and_machine_readable_answers(shared, tmp_path):
    out = tmp_path / "samples.png"
    made = command("sample", "-n", "9", "--seed", "5", "--out", str(out), target=shared.target)
    assert made.returncode == 0, made.stderr
    assert width(out) > 12
    listed = command("models", "--json", target=shared.target)
    assert "tiny" in json.dumps(json.loads(listed.stdout))


def test_health_is_an_exit_code(shared):
    healthy = command("health", target=shared.target)
    assert (healthy.returncode, healthy.stdout) == (0, "SERVING\n")
    away = command("health", target="127.0.0.1:1")
    assert away.returncode == 1
    assert len(away.stderr.splitlines()) == 1


def test_the_demo_runs_and_writes_its_pictures(tmp_path):
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", "--out", tmp_path], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "rows/s" in run.stdout
    for name in ("samples.png", "reconstructions.png"):
        assert width(tmp_path / name) > 200
