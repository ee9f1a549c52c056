"""The quality of samples, judged by a classifier: confidence, spread over classes, Fréchet distance of features."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from server.core.arrays import Doubles
from training.datasets import Dataset
from training.datasets.dataset import SplitName
from training.errors import TrainingError
from training.evaluation.classifier import Judgement, TrainedClassifier, judge
from training.evaluation.exported_model import ExportedModel
from training.evaluation.mean_and_error import MeanAndError
from training.randomness import generator
from training.run.minibatches import grey

TARGET = 0.5  # a learned prior should have at most this part of the gap and of the distance of N(0, I)
NOISE_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Quality:
    """The figures of a set of images, compared with the real images of a split."""

    rows: int
    confidence: float  # the mean over rows of the most probable class's probability
    confidence_standard_error: float
    gap: float  # the confidence in real rows minus `confidence`
    entropy: float  # of the histogram of most probable classes, nats
    effective_classes: float  # exp(entropy): this many equally frequent classes would have the same entropy
    frechet: float  # the squared Fréchet distance to the real rows, in the classifier's feature space


@dataclass(frozen=True, slots=True)
class SampleQuality:
    """The quality of an artifact's samples from its learned prior and from N(0, I), and that of real rows."""

    split: SplitName
    seed: int
    real: Quality  # the split itself: gap and distance are 0
    real_train: Quality  # real training rows, to show how far apart two sets of real rows are
    learned_prior: Quality | None  # None if the prior is N(0, I)
    standard_normal: Quality

    @property
    def gap_ratio(self) -> float | None:
        """|gap| of the learned prior, divided by that of N(0, I)."""
        return None if self.learned_prior is None else _ratio(self.learned_prior.gap, self.standard_normal.gap)

    @property
    def frechet_ratio(self) -> float | None:
        """The Fréchet distance of the learned prior, divided by that of N(0, I)."""
        return None if self.learned_prior is None else _ratio(self.learned_prior.frechet, self.standard_normal.frechet)

    def to_mapping(self) -> dict[str, Any]:
        return {**asdict(self), "gap_ratio": self.gap_ratio, "frechet_ratio": self.frechet_ratio, "target": TARGET}


def sample_quality(
    model: ExportedModel, trained: TrainedClassifier, dataset: Dataset, *, split: SplitName, count: int, seed: int
) -> SampleQuality:
    """Judge `count` samples, all real rows of `split`, and `count` training rows.

    Samples are mean images, decoded by the exported graphs. Both priors get the same noise, drawn from `seed`. Raises
    TrainingError if the model or the classifier is of other data.
    """
    _require_fit(model, trained, dataset)
    chosen = torch.randperm(len(dataset.train), generator=generator(seed, "evaluation", -1))[:count]
    real = judge(trained.classifier, grey(dataset.split(split).rows))
    real_train = judge(trained.classifier, grey(dataset.train.rows[chosen]))
    learned = judge(trained.classifier, samples(model, count=count, seed=seed, learned_prior=True))
    plain = judge(trained.classifier, samples(model, count=count, seed=seed, learned_prior=False))
    return SampleQuality(
        split=split,
        seed=seed,
        real=quality(real, real=real),
        real_train=quality(real_train, real=real),
        learned_prior=quality(learned, real=real) if model.manifest.learned_prior else None,
        standard_normal=quality(plain, real=real),
    )


def samples(model: ExportedModel, *, count: int, seed: int, learned_prior: bool) -> Tensor:
    """Mean images for draws of z from the model's prior, or from N(0, I) instead; float32 [count, *item], 0..1."""
    noise = torch.randn(count, model.manifest.latent_size, generator=generator(seed, "evaluation"))
    # A Gaussian's mean may be outside of 0..1, but the classifier was trained on values inside.
    return torch.cat(
        [
            model.decode(model.from_noise(eps) if learned_prior else eps)[0].clamp(0, 1)
            for eps in torch.split(noise, NOISE_AT_ONCE)
        ]
    )


def quality(judged: Judgement, *, real: Judgement) -> Quality:
    """The quality of `judged`, compared with `real`; both need at least two rows."""
    confidence, likeliest = judged.probabilities.double().max(1)
    sure = MeanAndError.of(confidence)
    entropy = histogram_entropy(likeliest, classes=judged.probabilities.shape[1])
    return Quality(
        rows=len(likeliest),
        confidence=sure.mean,
        confidence_standard_error=sure.standard_error,
        gap=float(real.probabilities.double().max(1).values.mean() - confidence.mean()),
        entropy=entropy,
        effective_classes=float(np.exp(entropy)),
        frechet=frechet_distance(judged.features.double().numpy(), real.features.double().numpy()),
    )


def histogram_entropy(labels: Tensor, *, classes: int) -> float:
    """-sum_c f_c log f_c in nats, with f_c the share of class c in labels int64 [rows]."""
    shares = torch.bincount(labels, minlength=classes).double() / len(labels)
    return float(torch.special.entr(shares).sum())


def frechet_distance(first: Doubles, second: Doubles) -> float:
    """|mu_1 - mu_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)) of Gaussians fitted to [N, D] and [M, D]; N, M >= 2.

    As in Heusel et al. 2017 (arXiv 1706.08500, Eq. 6) this is the square of the distance, in squared units of the
    vectors. It is biased upwards for small sets, so compare only figures of equal N and M.
    """
    return gaussian_distance(first.mean(0), _covariance(first), second.mean(0), _covariance(second))


def gaussian_distance(mean_1: Doubles, covariance_1: Doubles, mean_2: Doubles, covariance_2: Doubles) -> float:
    """The squared Fréchet distance of N(mean_1, covariance_1) and N(mean_2, covariance_2).

    Means are [D], covariances [D, D].
    """
    # S_1 S_2 is similar to the symmetric R S_2 R with R = S_1^(1/2), so both have the same eigenvalues. The symmetric
    # decomposition never gives complex results and works for singular covariances.
    root = _root(covariance_1)
    values = np.linalg.eigvalsh(root @ covariance_2 @ root)
    cross = float(np.sqrt(np.maximum(values, 0.0)).sum())
    apart = float(np.sum((mean_1 - mean_2) ** 2))
    # Equal Gaussians may come out an ulp below zero.
    return max(0.0, apart + float(np.trace(covariance_1)) + float(np.trace(covariance_2)) - 2.0 * cross)


def _ratio(this: float, other: float) -> float:
    return abs(this) / max(abs(other), 1e-12)


def _require_fit(model: ExportedModel, trained: TrainedClassifier, dataset: Dataset) -> None:
    if model.manifest.item.shape != dataset.item_shape:
        raise TrainingError(
            f"the model makes items {model.manifest.item.shape}, {dataset.name} has {dataset.item_shape}"
        )
    known = trained.provenance["data"]
    if known["sha256"] != dataset.sha256:
        raise TrainingError(
            f"the classifier was trained on {known['name']} with sha256 {known['sha256'][:12]}..., {dataset.name} has "
            f"{dataset.sha256[:12]}...; make one with: python -m training classifier --data ..."
        )


def _root(covariance: Doubles) -> Doubles:
    """The symmetric R with R R = covariance."""
    values, vectors = np.linalg.eigh(covariance)
    root: Doubles = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _covariance(vectors: Doubles) -> Doubles:
    return np.atleast_2d(np.cov(vectors, rowvar=False)).astype(np.float64)
