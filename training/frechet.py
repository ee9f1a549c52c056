"""The Fréchet distance between two sets of vectors, each seen as one Gaussian."""

import numpy as np

from server.core.arrays import Doubles


def frechet_distance(first: Doubles, second: Doubles) -> float:
    """|mu_1 - mu_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)) of Gaussians fitted to [N, D] and [M, D]; N, M >= 2.

    Heusel et al. 2017 (arXiv 1706.08500, Eq. 6), whose convention is kept: this is the square of the distance, in
    squared units of the vectors. It is biased upwards for small sets, so compare equal N and M only.
    """
    return gaussian_distance(first.mean(0), _covariance(first), second.mean(0), _covariance(second))


def gaussian_distance(mean_1: Doubles, covariance_1: Doubles, mean_2: Doubles, covariance_2: Doubles) -> float:
    """The same for N(mean_1, covariance_1) and N(mean_2, covariance_2); means [D], covariances [D, D]."""
    # S_1 S_2 is similar to the symmetric R S_2 R with R = S_1^(1/2): the roots of their eigenvalues have one sum, and a
    # symmetric eigendecomposition has neither complex results nor trouble with singular covariances.
    root = _root(covariance_1)
    values = np.linalg.eigvalsh(root @ covariance_2 @ root)
    cross = float(np.sqrt(np.maximum(values, 0.0)).sum())
    apart = float(np.sum((mean_1 - mean_2) ** 2))
    # Equal Gaussians may come out an ulp below zero.
    return max(0.0, apart + float(np.trace(covariance_1)) + float(np.trace(covariance_2)) - 2.0 * cross)


def _root(covariance: Doubles) -> Doubles:
    """The symmetric R with R R = covariance."""
    values, vectors = np.linalg.eigh(covariance)
    root: Doubles = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _covariance(vectors: Doubles) -> Doubles:
    return np.atleast_2d(np.cov(vectors, rowvar=False)).astype(np.float64)
