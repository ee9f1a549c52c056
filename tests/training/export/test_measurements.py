"""Measurements are recorded with the model they measured, and with no other."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.artifact import read
from training.__main__ import main
from training.errors import TrainingError
from training.export import card, measurements
from training.export.card_tables import tables
from training.export.measurements import Measurements

EXPORTED = Path(__file__).parents[3] / "exported"
FIGURE = {"mean": 80.5, "standard_error": 0.2}
TRAINED = {"seed": 0, "latent_size": 50, "train_on": "train", "epochs": 8}
EVALUATION: dict[str, Any] = {
    "model_digest": "a" * 64,
    "config": TRAINED,
    "data": "mnist",
    "split": "test",
    "binarisation": "dynamic",
    "estimator": "importance",
    "rows": 10000,
    "samples": 5000,
    "seed": 0,
    "nll": FIGURE,
    "elbo": FIGURE,
    "reconstruction_nll": FIGURE,
    "kl": FIGURE,
    "baselines": {
        "one Normal": {"mean": 300.0, "standard_error": 1.0},
        "independent pixels": {"mean": 200.0, "standard_error": 1.0},
    },
}
TWIN = {**EVALUATION, "model_digest": "b" * 64, "config": {**TRAINED, "seed": 1}}
# What TRAINED began with: the same network, trained for longer before.
BEGINNING = {**TRAINED, "epochs": 80}
BEGINNINGS = tuple(
    {**EVALUATION, "model_digest": str(seed) * 64, "config": {**BEGINNING, "seed": seed}} for seed in (0, 1)
)
QUALITY = {
    "rows": 10000,
    "confidence": 0.96,
    "confidence_standard_error": 0.001,
    "gap": 0.03,
    "entropy": 2.3,
    "effective_classes": 9.9,
    "frechet": 1.5,
}
SAMPLES = {
    "model_digest": "a" * 64,
    "split": "test",
    "seed": 0,
    "real": QUALITY,
    "real_train": QUALITY,
    "learned_prior": {**QUALITY, "frechet": 1.25},
    "standard_normal": {**QUALITY, "frechet": 44.0},
    "classifier": {"accuracy": {"validation": 0.9952, "test": 0.9954}},
}


def written(folder: Path, facts: object) -> Path:
    file = folder / "facts.json"
    file.write_text(json.dumps(facts))
    return file


def test_figures_are_named_by_split_and_binarisation(tmp_path: Path) -> None:
    found = Measurements(evaluations=(measurements.evaluation(written(tmp_path, EVALUATION)),)).metrics(data="mnist")
    assert found["test_dynamic_nll"] == 80.5
    assert found["test_dynamic_nll_standard_error"] == 0.2
    assert (found["test_dynamic_rows"], found["test_dynamic_importance_samples"]) == (10000, 5000)


def test_where_two_data_sets_were_measured_the_other_ones_name_is_in_its_figures() -> None:
    """The model's own data set has the short names, whichever was measured first; alone, another has them too."""
    other = {**EVALUATION, "data": "omniglot", "rows": 8070}
    static = {**EVALUATION, "data": "binarized-mnist", "binarisation": "static"}
    found = Measurements(evaluations=(other, EVALUATION, static)).metrics(data="mnist")
    assert (found["test_dynamic_rows"], found["test_dynamic_omniglot_rows"]) == (10000, 8070)
    assert found["test_static_nll"] == 80.5
    assert len(found) == 3 * 10


def test_samples_are_judged_with_the_prior_that_is_served(tmp_path: Path) -> None:
    learned = Measurements(samples=measurements.samples(written(tmp_path, SAMPLES)))
    assert learned.metrics(data="mnist")["samples_frechet"] == 1.25
    plain = Measurements(samples={**SAMPLES, "learned_prior": None})
    assert plain.metrics(data="mnist")["samples_frechet"] == 44.0


@pytest.mark.parametrize(
    "records", [Measurements(evaluations=(EVALUATION,)), Measurements(samples=SAMPLES)], ids=["nll", "samples"]
)
def test_the_figures_of_another_model_are_refused(records: Measurements) -> None:
    with pytest.raises(TrainingError, match="measured model aaaaaaaaaaaa, this is cccccccccccc"):
        records.require_of(digest="c" * 64, config=EVALUATION["config"])
    records.require_of(digest="a" * 64, config=EVALUATION["config"])


@pytest.mark.parametrize(
    ("config", "different"),
    [({**TRAINED, "seed": 1, "latent_size": 40}, "latent_size, seed"), (TRAINED, "nothing"), (BEGINNING, "epochs")],
)
def test_a_twin_differs_in_its_seed_alone(config: dict[str, int], different: str) -> None:
    Measurements(twins=(TWIN,)).require_of(digest="a" * 64, config=EVALUATION["config"])
    with pytest.raises(TrainingError, match=f"in its seed alone; different: {different}"):
        Measurements(twins=({**TWIN, "config": config},)).require_of(digest="a" * 64, config=EVALUATION["config"])


def test_twins_of_the_run_that_a_model_began_with_have_a_table_of_their_own() -> None:
    records = Measurements((EVALUATION,), (TWIN, *BEGINNINGS))
    records.require_of(digest="a" * 64, config=TRAINED, earlier=[BEGINNING])
    assert Measurements().with_newer(records) == records  # the same seed in two configurations is two runs
    text = tables(records, data="mnist", config=TRAINED)
    own, began = text.split("The run whose weights it began with, from each seed that was measured:")
    assert [line[:5] for line in own.splitlines() if line.startswith("| ")][-2:] == ["| 0 |", "| 1 |"]
    assert [line[:5] for line in began.splitlines() if line.startswith("| ")] == ["| see", "| 0 |", "| 1 |"]
    assert "beside this model's seed" not in tables(
        Measurements((EVALUATION,), BEGINNINGS), data="mnist", config=TRAINED
    )


def test_the_card_shows_rows_seeds_and_samples() -> None:
    text = tables(Measurements((EVALUATION,), (TWIN,), SAMPLES), data="mnist", config=TRAINED)
    assert "10,000 test rows of mnist, binarisation dynamic, seed 0, 5,000 importance samples | 80.50 ± 0.20" in text
    assert text.index("| independent pixels, the same rows | 200.00") < text.index("| one Normal, the same rows |")
    assert "| 1 | 10,000 test rows" in text
    assert "| samples, learned prior | 10,000 | 0.9600 ± 0.0010 | 0.0300 | 2.300 | 1.25 |" in text
    assert "right on 99.54% of test rows, 99.52% of validation rows" in text
    assert "training evaluate FOLDER" in tables(Measurements(), data="mnist", config=TRAINED)


def test_baselines_stand_below_the_figures_of_their_rows() -> None:
    static = {**EVALUATION, "binarisation": "static", "baselines": {}}
    lines = tables(Measurements((EVALUATION, static)), data="mnist", config=TRAINED).splitlines()
    first = next(number for number, line in enumerate(lines) if "binarisation dynamic" in line)
    assert ["pixels" in lines[first + 1], "Normal" in lines[first + 2], "static" in lines[first + 3]] == [True] * 3


def test_newer_measurements_take_the_place_of_older_ones_of_the_same_rows() -> None:
    static = {**EVALUATION, "binarisation": "static"}
    newer = Measurements((static, {**EVALUATION, "samples": 7}), ({**TWIN, "samples": 7},))
    both = Measurements((EVALUATION,), (TWIN,), SAMPLES).with_newer(newer)
    assert [(facts["binarisation"], facts["samples"]) for facts in both.evaluations] == [
        ("dynamic", 7),
        ("static", 5000),
    ]
    assert [facts["samples"] for facts in both.twins] == [7]
    assert both.samples == SAMPLES
    assert Measurements.of(both.to_mapping()) == both
    assert Measurements.of({}) == Measurements()


def test_rows_of_other_data_are_other_rows() -> None:
    other = Measurements(({**EVALUATION, "data": "omniglot"},), ({**TWIN, "data": "omniglot"},))
    both = Measurements((EVALUATION,), (TWIN,)).with_newer(other)
    assert [facts["data"] for facts in both.evaluations] == ["mnist", "omniglot"]
    assert [facts["data"] for facts in both.twins] == ["mnist", "omniglot"]


@pytest.mark.parametrize(
    ("facts", "train_on", "says"),
    [
        ({}, "train", "Neither training nor choice has seen the test rows of mnist."),
        ({}, "all", "Neither training nor choice has seen the test rows of mnist."),
        ({"split": "train"}, "train", "The training rows of mnist were trained on, so their figures flatter."),
        ({"split": "validation"}, "all", "The validation rows of mnist were trained on, so their figures flatter."),
        (
            {"split": "validation"},
            "train",
            "The validation rows of mnist chose the epoch that is exported, so their figures flatter a little.",
        ),
        (
            {"data": "binarized-mnist"},
            "train",
            "binarized-mnist is not mnist, which the model was trained on; whether they share rows is not recorded.",
        ),
    ],
    ids=["test", "test-all", "train", "validation-all", "validation", "other-data"],
)
def test_the_card_says_what_training_had_of_the_measured_rows(facts: dict[str, str], train_on: str, says: str) -> None:
    text = tables(Measurements(({**EVALUATION, **facts},)), data="mnist", config={"seed": 0, "train_on": train_on})
    assert f"mean ± standard error over rows. {says}\n" in text


def test_twins_stand_beside_the_figures_of_the_same_rows() -> None:
    static = {**EVALUATION, "binarisation": "static", "rows": 500}
    text = tables(
        Measurements((EVALUATION, static), ({**TWIN, "binarisation": "static"},)), data="mnist", config=TRAINED
    )
    seeds = text[text.index("beside this model's seed 0:") :]
    assert "| 0 | 500 test rows of mnist, binarisation static" in seeds
    assert "dynamic" not in seeds


@pytest.mark.parametrize("manifest", sorted(EXPORTED.glob("*/*/manifest.json")), ids=lambda file: file.parts[-3])
def test_a_shipped_card_is_what_its_manifest_says(manifest: Path) -> None:
    """Remade by training.export.card.text and server.artifact.write_sums."""
    shipped = read(manifest.parent).manifest
    assert (manifest.parent / "MODEL_CARD.md").read_text() == card.text(shipped)
    found = Measurements.of(shipped.provenance["measured"]).metrics(data=shipped.provenance["data"]["name"])
    assert found.items() <= shipped.metrics.items()
    assert found


def test_the_command_copies_the_model_and_adds_the_figures(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exported" / "2"
    assert main(["evaluate", str(artifact), "--data", "digits", "--importance-samples", "3", "--json"]) == 0
    file = tmp_path / "evaluation.json"
    file.write_text(capsys.readouterr().out)
    assert main(["record", str(artifact), "--out", str(out), "--evaluation", str(file)]) == 0
    before, after = read(artifact).manifest, read(out).manifest
    assert (after.digest, after.graphs) == (before.digest, before.graphs)
    assert after.metrics["test_dynamic_importance_samples"] == 3
    assert (
        "180 test rows of digits, binarisation dynamic, seed 0, 3 importance samples"
        in (out / "MODEL_CARD.md").read_text()
    )
    assert main(["record", str(artifact), "--out", str(out)]) == 2
    assert "exists already; versions are never overwritten" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--evaluation", "--twin"])
def test_a_figure_by_draws_from_the_prior_is_not_recorded(
    flag: str, artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, {**EVALUATION, "model_digest": read(artifact).manifest.digest, "estimator": "prior"})
    out = tmp_path / "exported" / "2"
    assert main(["record", str(artifact), "--out", str(out), flag, str(file)]) == 2
    assert capsys.readouterr().err == (
        f"error: {file}: -log p(x) was measured with --estimator prior; allowed: --estimator importance\n"
    )
    assert not out.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nll": 1}'])
def test_a_file_that_is_no_evaluation_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "evaluation.json"
    file.write_text(text)
    with pytest.raises(TrainingError, match="is not what `evaluate --json` prints"):
        measurements.evaluation(file)
    with pytest.raises(TrainingError, match="is not what `samples --json` prints"):
        measurements.samples(file)
