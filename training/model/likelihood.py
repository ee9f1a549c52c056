"""The log-likelihoods log p(x | z) (Eq. 5) in nats, one value per row."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

# Grey values are rounded to 1/255, and a smaller sigma would only fit the rounding. For a table the limit is 1/255 of a
# column's standard deviation. Without it, columns that determine each other exactly would have infinite likelihood.
SMALLEST_LOG_SIGMA = -math.log(255.0)


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x | z) = sum_d x_d log g_d + (1 - x_d) log(1 - g_d) with g = sigmoid(logits).

    x and logits are [rows, *item], x in 0..1; the result is [rows]. For 0 < x < 1 it is a cross-entropy, not a
    likelihood.
    """
    # log g = logits - softplus(logits) and log(1 - g) = -softplus(logits), which do not overflow for large logits
    return (x * logits - softplus(logits)).flatten(1).sum(1)


def gaussian_log_likelihood(x: Tensor, mean: Tensor, log_sigma: Tensor, scale: Tensor | None = None) -> Tensor:
    """log N(x; mean, diag((sigma scale_d)^2)) with one sigma for all dimensions.

    x and mean are [rows, *item], log_sigma is a scalar; the result is [rows]. scale [*item] is the unit of sigma in
    each dimension; None means 1: sigma is in item units.
    """
    errors = x - mean if scale is None else (x - mean) / scale
    squares = (errors * torch.exp(-log_sigma)).square().flatten(1)  # [rows, D]
    log_density = -0.5 * squares.sum(1) - squares.shape[1] * (log_sigma + 0.5 * math.log(2 * math.pi))
    return log_density if scale is None else log_density - scale.log().sum()
