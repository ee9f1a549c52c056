"""A small image classifier that judges samples: its network, its results for images, and its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from training import torch_file
from training.errors import TrainingError

FORMAT_VERSION = 1
FEATURES = 128
WIDTHS = (32, 64, 64)
ROWS_AT_ONCE = 500


class Classifier(nn.Module):
    """x float32 [rows, C, H, W], 0..1 -> logits [rows, classes].

    Three levels of a 3x3 convolution, batch normalisation and ReLU; max-pooling halves the first two. A dense layer of
    width `FEATURES` gives the features, and another one the logits.
    """

    def __init__(self, item_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.item_shape, self.classes = item_shape, classes
        channels, height, width = item_shape
        layers: list[nn.Module] = []
        for level, wider in enumerate(WIDTHS):
            layers += [nn.Conv2d(channels, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
            if level < len(WIDTHS) - 1:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                height, width = -(-height // 2), -(-width // 2)
            channels = wider
        dense = nn.Linear(channels * height * width, FEATURES, bias=False)
        self.body = nn.Sequential(*layers, nn.Flatten(), dense, nn.BatchNorm1d(FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer; [rows, FEATURES]."""
        return cast(Tensor, self.body(x))


def initialise(classifier: Classifier, *, generator: torch.Generator) -> None:
    """Draw the weights from `generator`, as in He et al. 2015 (arXiv 1502.01852); biases start at 0."""
    for module in classifier.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Judgement(NamedTuple):
    """A classifier's outputs for images."""

    probabilities: Tensor  # float32 [rows, classes]
    features: Tensor  # float32 [rows, FEATURES]


def judge(classifier: Classifier, images: Tensor) -> Judgement:
    """Run the classifier on images float32 [rows, C, H, W], 0..1, in fp32.

    The images may be on any device; the work is done on the classifier's, and the result is on the CPU.
    """
    device = classifier.head.weight.device
    was_training = classifier.training
    classifier.eval()
    with torch.inference_mode():
        found = torch.cat([classifier.features(part.to(device)) for part in torch.split(images, ROWS_AT_ONCE)])
        probabilities = torch.softmax(classifier.head(found), dim=1)
    classifier.train(was_training)
    return Judgement(probabilities.cpu(), found.cpu())


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """A classifier with its provenance."""

    classifier: Classifier  # fp32, on the CPU
    provenance: dict[str, Any]  # data, labels, seed, epochs, accuracy by split, git commit, hardware, libraries


def save(file: Path, trained: TrainedClassifier) -> None:
    """Write the classifier to one file, atomically. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    torch_file.save(
        file,
        {
            "classifier_format_version": FORMAT_VERSION,
            "item_shape": list(trained.classifier.item_shape),
            "classes": trained.classifier.classes,
            "weights": trained.classifier.state_dict(),
            "provenance": trained.provenance,
        },
    )


def read(file: Path) -> TrainedClassifier:
    """Read what `save` wrote. Raises TrainingError if the file is missing, damaged, incomplete or of another kind."""
    if not file.is_file():
        raise TrainingError(f"{file}: no such classifier; make one with: python -m training classifier --out {file}")

    def built(facts: dict[str, Any]) -> TrainedClassifier:
        version = facts["classifier_format_version"]
        if version != FORMAT_VERSION:
            raise TrainingError(
                f"{file}: its format version is {version!r}; this version of training reads {FORMAT_VERSION}"
            )
        classifier = Classifier(tuple(facts["item_shape"]), facts["classes"])
        classifier.load_state_dict(facts["weights"])
        return TrainedClassifier(classifier.requires_grad_(False).eval(), facts["provenance"])

    return torch_file.read(
        file, built, damaged="is damaged, or is no classifier", advice="make one with: python -m training classifier"
    )
