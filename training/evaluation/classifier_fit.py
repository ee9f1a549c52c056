"""Training of the classifier: cross-entropy on slightly moved images, AdamW with a one-cycle learning rate."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from training.datasets import Dataset, Split
from training.datasets.dataset import SplitName
from training.errors import TrainingError
from training.evaluation.classifier import Classifier, TrainedClassifier, initialise, judge
from training.randomness import generator
from training.run.hardware import Hardware
from training.run.minibatches import grey
from training.run.provenance import git_commit, libraries

EPOCHS = 10
BATCH = 128
HIGHEST_LEARNING_RATE, LOWEST_LEARNING_RATE = 3e-3, 1e-5
RISE = 0.2  # the first fraction of the steps, during which the learning rate rises
WEIGHT_DECAY = 0.02
# How far an image is moved at most.
SHIFT = 1 / 14  # of the side: 2 pixels of 28
TURN = math.radians(10)
SCALE = 0.1
MOST_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class ClassifierEpoch:
    """What is reported after each epoch."""

    epoch: int  # 1, 2, ...
    epochs: int
    loss: float  # mean cross-entropy over the epoch's moved training rows, nats
    accuracy: float | None  # on the validation rows, 0..1; None if they have no labels


def fit_classifier(
    dataset: Dataset, *, epochs: int, seed: int, hardware: Hardware, observe: Callable[[ClassifierEpoch], None]
) -> TrainedClassifier:
    """Train a classifier on the training rows; `observe` is called after each epoch.

    Raises TrainingError if there are no usable labels.
    """
    rows, labels, classes = _examples(dataset)
    classifier = Classifier(dataset.item_shape, classes)
    initialise(classifier, generator=generator(seed, "weights"))
    classifier.to(hardware.device)
    if hardware.channels_last:
        classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    optimiser = torch.optim.AdamW(classifier.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
    batch = min(BATCH, len(rows))
    per_epoch = len(rows) // batch
    for epoch in range(epochs):
        order = torch.randperm(len(rows), generator=generator(seed, "order", epoch))
        loss = torch.zeros((), device=hardware.device)
        classifier.train()
        for position in range(per_epoch):
            step = epoch * per_epoch + position
            index = order[position * batch : (position + 1) * batch]
            draws = generator(seed, "step", step, device=hardware.device)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step=step, steps=epochs * per_epoch)
            x = augment(grey(rows[index].to(hardware.device)), draws)
            loss += _step(classifier, optimiser, x, labels[index].to(hardware.device), hardware)
        observe(ClassifierEpoch(epoch + 1, epochs, float(loss) / per_epoch, accuracy(classifier, dataset.validation)))
    classifier.to("cpu").requires_grad_(False).eval()
    classifier.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs
    found = {name: accuracy(classifier, split) for name, split in _measurable(dataset).items()}
    return TrainedClassifier(classifier, _provenance(dataset, found, epochs=epochs, seed=seed, hardware=hardware))


def accuracy(classifier: Classifier, split: Split) -> float | None:
    """The fraction of rows whose most probable class is their label, 0..1; None if there are no labels."""
    if split.labels is None:
        return None
    return float((judge(classifier, grey(split.rows)).probabilities.argmax(1) == split.labels).double().mean())


def augment(x: Tensor, draws: torch.Generator) -> Tensor:
    """Turn, scale and shift each image of x [rows, C, H, W] a little, independently; new edge pixels are black."""

    def uniform(limit: float) -> Tensor:
        return (2 * torch.rand(len(x), generator=draws, device=x.device) - 1) * limit

    turn, scale = uniform(TURN), 1 + uniform(SCALE)
    right, down = uniform(2 * SHIFT), uniform(2 * SHIFT)  # a side is 2 long for affine_grid: -1 to 1
    cosine, sine = scale * turn.cos(), scale * turn.sin()
    ratio = x.shape[2] / x.shape[3]  # without it a turn would distort images whose height and width differ
    rows = (torch.stack((cosine, -sine * ratio, right), 1), torch.stack((sine / ratio, cosine, down), 1))
    grid = affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return grid_sample(x, grid, align_corners=False)


def learning_rate(*, step: int, steps: int) -> float:
    """One cycle (Smith & Topin 2018, arXiv 1708.07120): a linear rise over the first steps, then half a cosine."""
    rise = max(1, int(RISE * steps))
    if step < rise:
        return HIGHEST_LEARNING_RATE * (step + 1) / rise
    progress = (step - rise) / max(1, steps - 1 - rise)
    span = HIGHEST_LEARNING_RATE - LOWEST_LEARNING_RATE
    return LOWEST_LEARNING_RATE + 0.5 * span * (1 + math.cos(math.pi * progress))


def _step(
    classifier: Classifier, optimiser: torch.optim.Optimizer, x: Tensor, labels: Tensor, hardware: Hardware
) -> Tensor:
    with hardware.autocast():
        logits = classifier(hardware.to_layout(x))
    loss = cross_entropy(logits.float(), labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch
    optimiser.step()
    return loss.detach()


def _examples(dataset: Dataset) -> tuple[Tensor, Tensor, int]:
    """Training rows, their labels and the number of classes."""
    labels = dataset.train.labels
    if dataset.kind == "table":
        raise TrainingError(f"{dataset.name}: is a table; the classifier takes images only")
    if labels is None:
        raise TrainingError(
            f"{dataset.name} has no labels; a classifier needs them: train-labels-idx1-ubyte[.gz] beside the images, "
            "or y_train in the .npz"
        )
    present = [dataset.train, *_measurable(dataset).values()]
    known = torch.cat([split.labels for split in present if split.labels is not None])
    lowest, highest = int(known.min()), int(known.max())
    if lowest < 0 or highest >= MOST_CLASSES:
        raise TrainingError(f"{dataset.name}: labels go from {lowest} to {highest}; allowed: 0..{MOST_CLASSES - 1}")
    if bool((labels == labels[0]).all()):
        raise TrainingError(
            f"{dataset.name}: every training label is {int(labels[0])}; a classifier needs two classes or more"
        )
    return dataset.train.rows, labels, highest + 1


def _measurable(dataset: Dataset) -> dict[SplitName, Split]:
    """The held-out splits that have labels."""
    held_out: dict[SplitName, Split | None] = {"validation": dataset.validation, "test": dataset.test}
    return {name: split for name, split in held_out.items() if split is not None and split.labels is not None}


def _provenance(
    dataset: Dataset, found: dict[SplitName, float | None], *, epochs: int, seed: int, hardware: Hardware
) -> dict[str, Any]:
    return {
        "data": {"name": dataset.name, "sha256": dataset.sha256, "rows": dataset.counts},
        "seed": seed,
        "epochs": epochs,
        "accuracy": dict(found),
        "git_commit": git_commit(Path(__file__).parent),
        "hardware": {"device": hardware.device.type, "precision": hardware.precision, "threads": hardware.threads},
        "libraries": libraries(),
    }
