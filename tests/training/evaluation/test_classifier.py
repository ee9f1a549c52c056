"""The classifier that judges samples: it learns, is reproducible, and refuses data that it cannot use."""

import dataclasses
import os
from pathlib import Path

import pytest
import torch

from training.__main__ import main
from training.datasets import Dataset, Split
from training.errors import TrainingError
from training.evaluation import classifier as classifiers
from training.evaluation.classifier import FEATURES, Classifier, TrainedClassifier, initialise, judge
from training.evaluation.classifier_fit import (
    HIGHEST_LEARNING_RATE,
    LOWEST_LEARNING_RATE,
    ClassifierEpoch,
    augment,
    fit_classifier,
    learning_rate,
)
from training.run.hardware import Hardware
from training.run.minibatches import grey


def fitted(dataset: Dataset, hardware: Hardware, *, epochs: int = 1, seed: int = 0) -> TrainedClassifier:
    return fit_classifier(dataset, epochs=epochs, seed=seed, hardware=hardware, observe=lambda event: None)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def few(digits: Dataset) -> Dataset:
    """Enough rows for a step or two."""
    return dataclasses.replace(
        digits, train=Split(digits.train.rows[:256], None if digits.train.labels is None else digits.train.labels[:256])
    )


@pytest.fixture(scope="module")
def learned(digits: Dataset, cpu: Hardware) -> TrainedClassifier:
    return fitted(digits, cpu, epochs=12)


def relabelled(dataset: Dataset, labels: torch.Tensor | None) -> Dataset:
    return dataclasses.replace(dataset, train=Split(dataset.train.rows, labels))


def test_it_learns_digits(learned: TrainedClassifier) -> None:
    assert set(learned.provenance["accuracy"]) == {"validation", "test"}
    assert all(value >= 0.97 for value in learned.provenance["accuracy"].values())


def test_it_says_where_it_comes_from(learned: TrainedClassifier, digits: Dataset) -> None:
    assert learned.provenance["data"] == {"name": "digits", "sha256": digits.sha256, "rows": digits.counts}
    assert (learned.provenance["seed"], learned.provenance["epochs"]) == (0, 12)


def test_a_seed_makes_a_classifier_and_nothing_else_does(few: Dataset, cpu: Hardware) -> None:
    first = fitted(few, cpu, seed=3).classifier.state_dict()
    torch.manual_seed(77)
    second, other = fitted(few, cpu, seed=3).classifier.state_dict(), fitted(few, cpu, seed=4).classifier.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_it_reports_every_epoch(few: Dataset, cpu: Hardware) -> None:
    seen: list[ClassifierEpoch] = []
    fit_classifier(few, epochs=2, seed=0, hardware=cpu, observe=seen.append)
    assert [(event.epoch, event.epochs) for event in seen] == [(1, 2), (2, 2)]
    assert seen[1].loss < seen[0].loss


def test_features_are_what_the_last_layer_sees(learned: TrainedClassifier, digits: Dataset) -> None:
    x = grey(digits.validation.rows[:9])
    judged = judge(learned.classifier, x)
    assert judged.features.shape == (9, FEATURES)
    torch.testing.assert_close(learned.classifier(x), learned.classifier.head(judged.features))
    torch.testing.assert_close(judged.probabilities, torch.softmax(learned.classifier(x), 1))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 9), (1, 28, 28)])
def test_images_of_any_shape_have_a_classifier(shape: tuple[int, ...]) -> None:
    classifier = Classifier(shape, 4)
    initialise(classifier, generator=generator())
    judged = judge(classifier, torch.rand(6, *shape, generator=generator()))
    torch.testing.assert_close(judged.probabilities.sum(1), torch.ones(6))
    assert judged.probabilities.shape == (6, 4)


def test_rows_are_moved_each_on_its_own_and_only_a_little() -> None:
    dot = torch.zeros(200, 1, 28, 42)
    dot[:, :, 13:15, 20:22] = 1.0
    after = augment(dot, generator())
    across = torch.arange(42.0)
    centres = (after.sum((1, 2)) * across).sum(1) / after.sum((1, 2, 3))
    assert 0.5 < centres.std() < 3.0  # up to 3 pixels of 42, evenly
    assert (centres - 20.5).abs().max() < 3.5
    torch.testing.assert_close(after.sum((1, 2, 3)).mean(), torch.tensor(4.0), rtol=0.1, atol=0.0)


def test_a_turn_keeps_angles_where_height_and_width_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    from training.evaluation import classifier_fit

    monkeypatch.setattr(classifier_fit, "SHIFT", 0.0)
    monkeypatch.setattr(classifier_fit, "SCALE", 0.0)
    y, x = torch.meshgrid(torch.arange(40) - 19.5, torch.arange(80) - 39.5, indexing="ij")
    disc = ((x**2 + y**2) < 15**2).float().expand(4, 1, 40, 80)
    torch.testing.assert_close(augment(disc, generator()).mean(), disc.mean(), rtol=0.01, atol=0.0)
    assert (augment(disc, generator()) - disc).abs().mean() < 0.01


def test_the_learning_rate_rises_once_and_falls_to_its_end() -> None:
    rates = [learning_rate(step=step, steps=100) for step in range(100)]
    top = rates.index(max(rates))
    assert rates[top] == pytest.approx(HIGHEST_LEARNING_RATE)
    assert rates[-1] == pytest.approx(LOWEST_LEARNING_RATE)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert learning_rate(step=0, steps=1) > 0


def test_missing_labels_are_one_line(few: Dataset, cpu: Hardware) -> None:
    with pytest.raises(TrainingError, match=r"digits has no labels; a classifier needs them: train-labels-idx1-ubyte"):
        fitted(relabelled(few, None), cpu)


def test_labels_that_teach_nothing_are_refused(few: Dataset, cpu: Hardware) -> None:
    with pytest.raises(TrainingError, match="every training label is 7; a classifier needs two classes or more"):
        fitted(relabelled(few, torch.full((256,), 7)), cpu)
    with pytest.raises(TrainingError, match=r"labels go from -1 to 9; allowed: 0..999"):
        fitted(relabelled(few, torch.arange(256) % 10 - 1), cpu)
    with pytest.raises(TrainingError, match="labels go from 0 to 5000; allowed"):
        fitted(relabelled(few, torch.arange(256).clamp(max=1) * 5000), cpu)


def test_held_out_rows_without_labels_leave_the_accuracy_unknown(few: Dataset, cpu: Hardware) -> None:
    unlabelled = dataclasses.replace(few, validation=Split(few.validation.rows), test=None)
    assert fitted(unlabelled, cpu).provenance["accuracy"] == {}


def test_what_is_saved_judges_like_what_was_trained(
    learned: TrainedClassifier, digits: Dataset, tmp_path: Path
) -> None:
    classifiers.save(tmp_path / "runs" / "c.pt", learned)
    again = classifiers.read(tmp_path / "runs" / "c.pt")
    assert again.provenance == learned.provenance
    x = grey(digits.validation.rows)
    assert torch.equal(judge(learned.classifier, x).features, judge(again.classifier, x).features)
    assert os.listdir(tmp_path / "runs") == ["c.pt"]


def test_files_that_are_no_classifier_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.pt"
    with pytest.raises(TrainingError, match="no such classifier; make one with"):
        classifiers.read(file)
    file.write_bytes(b"not a zip")
    with pytest.raises(TrainingError, match="is damaged, or is no classifier"):
        classifiers.read(file)
    torch.save({"format_version": 1}, file)  # a run's checkpoint
    with pytest.raises(TrainingError, match="is damaged, or is no classifier"):
        classifiers.read(file)
    torch.save({"classifier_format_version": 1}, file)
    with pytest.raises(TrainingError, match=r"is damaged, or is no classifier \(KeyError\); make one with"):
        classifiers.read(file)
    torch.save({"classifier_format_version": 2}, file)
    with pytest.raises(TrainingError, match="its format version is 2; this version of training reads 1"):
        classifiers.read(file)


def test_one_altered_bit_is_noticed(learned: TrainedClassifier, tmp_path: Path) -> None:
    classifiers.save(tmp_path / "c.pt", learned)
    content = bytearray((tmp_path / "c.pt").read_bytes())
    content[len(content) // 2] ^= 1  # a weight, a little different: nothing but its checksum knows
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"is damaged, or is no classifier \(BadZipFile\); make one with"):
        classifiers.read(tmp_path / "c.pt")


def test_the_command_writes_a_file_and_never_overwrites_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs" / "digits.pt"
    arguments = ["classifier", "--data", "digits", "--out", str(out), "--epochs", "1", "--precision", "fp32"]
    assert main(arguments) == 0
    assert f"wrote {out}: right on " in capsys.readouterr().out
    assert classifiers.read(out).classifier.classes == 10
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: --out {out}: exists already; choose another name\n"


def test_the_command_without_labels_ends_in_one_line_and_exit_code_2(
    tmp_path: Path, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    np.save(tmp_path / "rows.npy", digits.train.rows[:50].numpy())
    out = tmp_path / "c.pt"
    assert main(["classifier", "--data", str(tmp_path / "rows.npy"), "--out", str(out)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: rows has no labels; a classifier needs them")
    assert not out.exists()


def test_a_full_disk_leaves_nothing(learned: TrainedClassifier, tmp_path: Path) -> None:
    (tmp_path / ".c.pt.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        classifiers.save(tmp_path / "c.pt", learned)
    assert os.listdir(tmp_path) == []
