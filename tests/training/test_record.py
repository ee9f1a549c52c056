"""Evaluations are recorded with the model they measured, and with no other."""

import json

import pytest

from training import record
from training.errors import TrainingError

FIGURE = {"mean": 80.5, "standard_error": 0.2}
EVALUATION = {
    "model_digest": "a" * 64,
    "data": "mnist",
    "split": "test",
    "binarisation": "dynamic",
    "rows": 10000,
    "samples": 5000,
    "seed": 0,
    "nll": FIGURE,
    "elbo": FIGURE,
    "reconstruction_nll": FIGURE,
    "kl": FIGURE,
}


def test_figures_are_named_by_split_and_binarisation(tmp_path):
    file = tmp_path / "evaluation.json"
    file.write_text(json.dumps(EVALUATION))
    found = record.metrics([record.read(file)], digest="a" * 64)
    assert found["test_dynamic_nll"] == 80.5
    assert found["test_dynamic_nll_standard_error"] == 0.2
    assert (found["test_dynamic_rows"], found["test_dynamic_importance_samples"]) == (10000, 5000)


def test_the_figures_of_another_model_are_refused():
    with pytest.raises(TrainingError, match="measured model aaaaaaaaaaaa, this is bbbbbbbbbbbb"):
        record.metrics([EVALUATION], digest="b" * 64)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nll": 1}'])
def test_a_file_that_is_no_evaluation_is_refused(tmp_path, text):
    file = tmp_path / "evaluation.json"
    file.write_text(text)
    with pytest.raises(TrainingError, match="is not what `evaluate --json` prints"):
        record.read(file)
