"""p(x | z), Eq. 5: log-likelihoods in nats, summed over an item, one value per row."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

# A grey value is known to 1/255: a shared sigma below that would only fit the rounding.
SMALLEST_LOG_SIGMA = -math.log(255.0)


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x | z) = sum_d x_d log g_d + (1 - x_d) log(1 - g_d) with g = sigmoid(logits).

    x and logits [rows, *item], x in 0..1; the result is [rows]. For 0 < x < 1 this is a cross-entropy, no likelihood.
    """
    # log g = logits - softplus(logits) and log(1 - g) = -softplus(logits): exact at any size of the logits
    return (x * logits - softplus(logits)).flatten(1).sum(1)


def gaussian_log_likelihood(x: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """log N(x; mean, sigma^2 I) with one sigma for all dimensions, in item units.

    x and mean [rows, *item], log_sigma a scalar; the result is [rows].
    """
    squares = ((x - mean) * torch.exp(-log_sigma)).square().flatten(1)  # [rows, D]
    return -0.5 * squares.sum(1) - squares.shape[1] * (log_sigma + 0.5 * math.log(2 * math.pi))
