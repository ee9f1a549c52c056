"""The quality of samples: the figures against closed forms, and the command that prints them."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray

from training.__main__ import main
from training.datasets import Dataset, Split
from training.errors import TrainingError
from training.evaluation import classifier as classifiers
from training.evaluation import exported_model
from training.evaluation.classifier import Judgement, TrainedClassifier, judge
from training.evaluation.classifier_fit import fit_classifier
from training.evaluation.exported_model import ExportedModel
from training.evaluation.sample_quality import (
    draw_samples,
    frechet_distance,
    gaussian_distance,
    histogram_entropy,
    quality,
    sample_quality,
)
from training.randomness import generator
from training.run.hardware import Hardware
from training.run.minibatches import grey

DRAWS = np.random.default_rng(0)


def covariance(size: int) -> NDArray[np.float64]:
    square = DRAWS.normal(size=(size, size))
    return square @ square.T + 0.1 * np.eye(size)


@pytest.fixture(scope="module")
def model(artifact: Path) -> ExportedModel:
    return exported_model.load(artifact, threads=1)


@pytest.fixture(scope="module")
def judging(digits: Dataset, cpu: Hardware) -> TrainedClassifier:
    return fit_classifier(digits, epochs=4, seed=0, hardware=cpu, observe=lambda event: None)


def test_equal_sets_have_no_distance() -> None:
    vectors = DRAWS.normal(size=(500, 20))
    assert frechet_distance(vectors, DRAWS.permutation(vectors)) == pytest.approx(0, abs=1e-10)


def test_a_shifted_set_is_as_far_as_it_was_shifted() -> None:
    vectors = DRAWS.normal(size=(50, 3))
    assert frechet_distance(vectors, vectors + np.array([1.0, -2.0, 2.0])) == pytest.approx(9.0)


def test_commuting_covariances_have_a_closed_form() -> None:
    """|mu_1 - mu_2|^2 + sum_i (sqrt(a_i) - sqrt(b_i))^2 for eigenvalues a, b on shared axes."""
    axes, _ = np.linalg.qr(DRAWS.normal(size=(6, 6)))
    a, b = DRAWS.uniform(0.1, 3, 6), DRAWS.uniform(0.1, 3, 6)
    mean_1, mean_2 = DRAWS.normal(size=(2, 6))
    expected = np.sum((mean_1 - mean_2) ** 2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    got = gaussian_distance(mean_1, (axes * a) @ axes.T, mean_2, (axes * b) @ axes.T)
    assert got == pytest.approx(expected, rel=1e-10)


def test_other_covariances_are_scipys() -> None:
    first, second, zero = covariance(12), covariance(12), np.zeros(12)
    expected = np.trace(first + second - 2 * scipy.linalg.sqrtm(first @ second).real)
    assert gaussian_distance(zero, first, zero, second) == pytest.approx(expected, rel=1e-9)
    assert gaussian_distance(zero, second, zero, first) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances_are_no_trouble() -> None:
    """Features that never fire have no variance; sqrtm of such a product is not reliable."""
    flat, zero = np.diag([4.0, 0.0, 0.0]), np.zeros(3)
    assert gaussian_distance(zero, flat, zero, np.diag([1.0, 9.0, 0.0])) == pytest.approx(1 + 9)
    few = DRAWS.normal(size=(4, 30))  # fewer rows than features
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6)


def test_entropy_is_zero_for_one_class_and_log_k_for_k_equal_ones() -> None:
    assert histogram_entropy(torch.full((7,), 3), classes=10) == 0.0
    assert histogram_entropy(torch.arange(40) % 10, classes=10) == pytest.approx(math.log(10))
    assert histogram_entropy(torch.tensor([0, 0, 0, 1]), classes=2) == pytest.approx(
        -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    )


def test_confidence_is_the_mean_of_the_largest_probability_and_the_gap_its_distance_to_real_rows() -> None:
    features = torch.zeros(2, 3)
    real = Judgement(torch.tensor([[1.0, 0.0], [0.1, 0.9]]), features)
    found = quality(Judgement(torch.tensor([[0.6, 0.4], [0.7, 0.3]]), features), real=real)
    assert found.confidence == pytest.approx(0.65)
    assert found.confidence_standard_error == pytest.approx(0.05)
    assert found.gap == pytest.approx(0.95 - 0.65)
    assert found.effective_classes == pytest.approx(1.0)


def test_real_rows_are_nearer_to_real_rows_than_noise(judging: TrainedClassifier, digits: Dataset) -> None:
    real = judge(judging.classifier, grey(digits.validation.rows))
    others = quality(judge(judging.classifier, grey(digits.train.rows[:180])), real=real)
    noise = torch.rand(180, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    noisy = quality(judge(judging.classifier, noise), real=real)
    assert noisy.frechet > 3 * others.frechet
    assert noisy.gap > 0.1 > abs(others.gap)


def test_both_priors_decode_the_same_noise(model: ExportedModel) -> None:
    """A learned prior bends eps before the decoder sees it; N(0, I) is the same eps as it is."""
    eps = torch.randn(20, 7, generator=generator(1, "evaluation"))
    plain, learned = (draw_samples(model, count=20, seed=1, learned_prior=which) for which in (False, True))
    assert torch.equal(plain, model.decode(eps)[0])
    assert torch.equal(learned, model.decode(model.from_noise(eps))[0])
    assert not torch.equal(plain, learned)


def test_figures_repeat_by_seed(model: ExportedModel, judging: TrainedClassifier, digits: Dataset) -> None:
    first, second, other = (
        sample_quality(model, judging, digits, split="test", count=100, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second
    assert first.standard_normal != other.standard_normal
    assert (first.real.gap, first.real.frechet) == (0.0, pytest.approx(0, abs=1e-6))


def test_a_classifier_of_other_data_is_refused(
    model: ExportedModel, judging: TrainedClassifier, digits: Dataset
) -> None:
    other = dataclasses.replace(digits, name="others", sha256="0" * 64)
    with pytest.raises(TrainingError, match=r"the classifier was trained on digits with sha256 .*, others has 0000"):
        sample_quality(model, judging, other, split="test", count=2, seed=0)


def test_items_of_another_shape_are_refused(model: ExportedModel, judging: TrainedClassifier, digits: Dataset) -> None:
    wide = dataclasses.replace(digits, train=Split(torch.zeros(20, 1, 8, 9, dtype=torch.uint8)))
    with pytest.raises(TrainingError, match=r"the model makes items \(1, 8, 8\), digits has \(1, 8, 9\)"):
        sample_quality(model, judging, wide, split="test", count=2, seed=0)


def test_the_command_prints_what_was_measured(
    artifact: Path, judging: TrainedClassifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifiers.save(tmp_path / "c.pt", judging)
    arguments = ["samples", str(artifact), "--data", "digits", "--classifier", str(tmp_path / "c.pt"), "--count", "100"]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    learned, plain = result["learned_prior"], result["standard_normal"]
    assert (learned["rows"], plain["rows"], result["real"]["rows"]) == (100, 100, 180)
    assert result["frechet_ratio"] == pytest.approx(learned["frechet"] / plain["frechet"])

    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert f"{learned['confidence']:.4f} ± {learned['confidence_standard_error']:.4f}" in table
    assert "samples, N(0, I)" in table
    reached = "reached" if result["frechet_ratio"] <= 0.5 else "not reached"
    expected = f"{result['frechet_ratio']:.2f} of that with N(0, I); at most 0.5 is {reached}"
    assert f"Fréchet with the learned prior: {expected}" in table


def test_a_missing_classifier_is_one_line(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", str(artifact), "--data", "digits", "--classifier", "nowhere.pt"]) == 2
    assert capsys.readouterr().err.startswith("error: nowhere.pt: no such classifier; make one with:")
