"""Pictures of any shape, through training, export and the server's engine, with every preset that convolves."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from server import artifact as contract
from server.engine import engine
from training import datasets
from training.__main__ import main

PRIOR = "[prior]\ncouplings = 2\nhidden = 8\n"
NARROW = {
    "default": f"[architecture]\nwidths = [4, 6]\ndecoder_widths = [4, 6]\nhidden = 8\n{PRIOR}",
    "quality": f"[architecture]\nwidths = [4, 8]\nhidden = 8\n{PRIOR}",
    "seed": "[architecture]\nfilters = 4\nhidden = 8\n",
}


@pytest.mark.parametrize(
    ("preset", "shape"),
    [
        ("default", (3, 9, 14)),
        ("default", (1, 14, 6)),
        ("quality", (3, 9, 14)),
        ("seed", (3, 10, 14)),
    ],
    ids=str,
)
def test_a_preset_learns_and_exports_pictures_of_any_shape(
    preset: str, shape: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    likelihood = "gaussian" if shape[0] == 3 else "bernoulli"
    pictures = np.random.default_rng(0).integers(0, 256, (40, *shape), np.uint8)
    np.save("pictures.npy", pictures if shape[0] == 3 else pictures[:, 0])
    Path("narrow.toml").write_text(f"latent_size = 3\n{NARROW[preset]}[optimisation]\nbatch_size = 18\n")
    fit = ["fit", "--preset", preset, "--config", "narrow.toml", "--likelihood", likelihood, "--epochs", "1"]
    assert main([*fit, "--threads", "1", "--data", "pictures.npy", "--out", "exported/pictures/1"]) == 0
    loaded = engine.load(contract.read(Path("exported/pictures/1")))
    assert loaded.manifest.item == contract.Item("image", shape, (0.0, 1.0))
    rows = datasets.load("pictures.npy", environment={}).validation.rows.numpy() / np.float32(255)
    mean, _ = loaded.run("encoder", rows)
    decoded = loaded.run("decoder", mean)[0]
    assert decoded.shape == rows.shape
    assert np.isfinite(decoded).all()
    with Image.open("exported/pictures/1/samples.png") as samples:
        assert samples.mode == ("RGB" if shape[0] == 3 else "L")


def test_the_tutorials_network_needs_even_sides_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "odd.npy", np.random.default_rng(0).integers(0, 256, (40, 9, 14), np.uint8))
    arguments = ["fit", "--preset", "seed", "--data", str(tmp_path / "odd.npy"), "--run-dir", str(tmp_path / "run")]
    assert main(arguments) == 2
    line = capsys.readouterr().err.strip()
    assert line == "error: preset seed takes images of even height and width, got 9x14; use preset default, which pads"
