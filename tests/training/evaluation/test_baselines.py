"""The baselines: their densities against scipy, and that the VAE beats them on held-out rows."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from training.datasets import Dataset
from training.evaluation import baselines, exported_model
from training.evaluation.evaluate import evaluate

DRAWS = np.random.default_rng(0)


def test_the_density_of_one_normal_is_that_of_scipy() -> None:
    train, measured = DRAWS.normal(size=(500, 3)), DRAWS.normal(size=(4, 3))
    covariance = np.cov(train, rowvar=False) + baselines.RIDGE * np.eye(3)
    expected = scipy.stats.multivariate_normal(train.mean(0), covariance).logpdf(measured)
    np.testing.assert_allclose(baselines.normal(train, measured).numpy(), expected, rtol=1e-5)


def test_a_mixture_finds_clusters_that_one_normal_cannot() -> None:
    centres = np.repeat([[-5.0, 0.0], [5.0, 0.0]], 300, axis=0)
    train = DRAWS.permutation(centres + DRAWS.normal(size=centres.shape) * 0.5)
    one, several = baselines.normal(train, train), baselines.mixture(train, train, seed=0)
    assert several.mean() > one.mean() + 1.0


def test_a_machine_whose_cores_cannot_be_counted_is_no_reason_to_complain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """joblib, which scikit-learn asks, would warn and print a traceback where lscpu finds nothing."""

    def unknown() -> int:
        raise ValueError("found 0 physical cores < 1")

    context = importlib.import_module("joblib.externals.loky.backend.context")
    monkeypatch.setattr(context, "_count_physical_cores_linux", unknown)
    monkeypatch.setattr(context, "physical_cores_cache", None)
    rows = DRAWS.normal(size=(40, 2))
    assert baselines.mixture(rows, rows, seed=0).isfinite().all()
    assert context.physical_cores_cache == "not found"
    assert capsys.readouterr().err == ""


def test_independent_pixels_are_bernoullis_with_the_training_means() -> None:
    train = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    expected = np.log([3 / 5 * 1 / 5])  # (2 + 1) / (3 + 2) white, (0 + 1) / (3 + 2) white
    got = baselines.independent(train, torch.tensor([[1.0, 1.0]]))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)


def test_the_vae_beats_them_on_held_out_digits(artifact: Path, digits: Dataset) -> None:
    result = evaluate(
        exported_model.load(artifact, threads=1),
        digits,
        split="test",
        samples=20,
        estimator="importance",
        seed=0,
        most_rows=None,
        with_baselines=True,
        begin=lambda count: None,
        done=lambda count: None,
    )
    assert set(result.baselines) == {"one Normal", "mixture of 10 Normals, EM", "independent pixels"}
    assert all(figure.mean > result.nll.mean + 1.0 for figure in result.baselines.values())
    assert result.baselines["independent pixels"].mean == pytest.approx(28, abs=2)
