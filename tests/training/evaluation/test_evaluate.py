"""`evaluate`: its figures are reproducible, correct and computed by the exported graphs."""

import math
from pathlib import Path

import pytest
import torch

from training.datasets import Dataset
from training.errors import TrainingError
from training.evaluation import estimate, exported_model
from training.evaluation.evaluate import Estimator, Evaluation, evaluate
from training.evaluation.exported_model import ExportedModel
from training.run.minibatches import grey


@pytest.fixture(scope="module")
def model(artifact: Path) -> ExportedModel:
    return exported_model.load(artifact, threads=1)


def measured(
    model: ExportedModel, dataset: Dataset, *, samples: int = 50, estimator: Estimator = "importance", seed: int = 0
) -> Evaluation:
    return evaluate(
        model,
        dataset,
        split="test",
        samples=samples,
        estimator=estimator,
        seed=seed,
        most_rows=60,
        with_baselines=False,
        begin=lambda count: None,
        done=lambda count: None,
    )


def test_more_importance_samples_give_a_tighter_bound_and_all_beat_the_elbo(
    model: ExportedModel, digits: Dataset
) -> None:
    few, many = measured(model, digits, samples=5), measured(model, digits, samples=500)
    assert -few.elbo.mean > few.nll.mean > many.nll.mean
    assert few.elbo == many.elbo
    assert few.rows == 60
    assert few.elbo.mean == pytest.approx(-few.reconstruction_nll.mean - few.kl.mean)
    assert few.nll.standard_error > 0


def test_a_seed_makes_an_evaluation_repeatable_and_another_seed_another_one(
    model: ExportedModel, digits: Dataset
) -> None:
    assert measured(model, digits, seed=1) == measured(model, digits, seed=1)
    assert measured(model, digits, seed=1).nll != measured(model, digits, seed=2).nll


def test_a_rows_estimate_does_not_depend_on_how_rows_are_split(model: ExportedModel, digits: Dataset) -> None:
    x = (grey(digits.validation.rows[:6]) > 0.5).float()
    posterior = model.encode(x)
    whole = estimate.log_evidence(model, x, posterior, samples=20, seed=3)
    part = estimate.log_evidence(
        model, x[4:], type(posterior)(posterior.mean[4:], posterior.log_var[4:]), samples=20, seed=3, first_row=4
    )
    assert torch.equal(whole[4:], part)


def test_the_estimate_does_not_depend_on_how_samples_are_chunked(
    model: ExportedModel, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = (grey(digits.validation.rows[:3]) > 0.5).float()
    whole = estimate.log_evidence(model, x, model.encode(x), samples=50, seed=3)
    monkeypatch.setattr(estimate, "DECODES_AT_ONCE", 7)
    torch.testing.assert_close(estimate.log_evidence(model, x, model.encode(x), samples=50, seed=3), whole)


def test_plain_monte_carlo_from_the_prior_needs_far_more_draws(model: ExportedModel, digits: Dataset) -> None:
    """Eq. 6-7: with as many draws its figure is worse, and it needs hundreds of times as many."""
    good = measured(model, digits, samples=5)
    few, many = (measured(model, digits, samples=count, estimator="prior") for count in (5, 2000))
    assert few.nll.mean > good.nll.mean + 0.2
    assert many.nll.mean == pytest.approx(good.nll.mean, abs=0.1)


def test_it_knows_how_rows_were_binarised(model: ExportedModel, digits: Dataset) -> None:
    assert measured(model, digits).binarisation == "dynamic"


def test_the_density_of_the_prior_graph_is_normalised_like_the_one_it_samples(model: ExportedModel) -> None:
    """E_p[log p(z)] is minus the entropy; for a flow that is that of N(0, I) plus the mean log-determinant."""
    z = model.from_noise(torch.randn(4000, 7, generator=torch.Generator().manual_seed(0)))
    flat = 0.5 * 7 * math.log(2 * math.pi * math.e)
    # A second of training moves the flow little, so its entropy is near that of the normal it starts from.
    assert -model.log_prior(z).mean().item() == pytest.approx(flat, abs=2.0)


def test_items_of_another_shape_are_refused(model: ExportedModel, digits: Dataset) -> None:
    import dataclasses

    from training.datasets import Split

    wide = dataclasses.replace(digits, train=Split(torch.zeros(20, 1, 8, 9, dtype=torch.uint8)))
    with pytest.raises(TrainingError, match=r"the model takes items \(1, 8, 8\), digits has \(1, 8, 9\)"):
        measured(model, wide)


def test_a_source_without_test_rows_says_so(model: ExportedModel, digits: Dataset) -> None:
    import dataclasses

    with pytest.raises(TrainingError, match="digits has no test rows; use --split validation"):
        measured(model, dataclasses.replace(digits, test=None))
