"""p(x | z), Eq. 5: log-likelihoods in nats, summed over an item, one value per row."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

# A grey value is known to 1/255: a shared sigma below that would only fit the rounding. Of a table it is 1/255 of a
# column's standard deviation: columns that determine each other exactly would have no finite likelihood otherwise.
SMALLEST_LOG_SIGMA = -math.log(255.0)


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x | z) = sum_d x_d log g_d + (1 - x_d) log(1 - g_d) with g = sigmoid(logits).

    x and logits [rows, *item], x in 0..1; the result is [rows]. For 0 < x < 1 this is a cross-entropy, no likelihood.
    """
    # log g = logits - softplus(logits) and log(1 - g) = -softplus(logits): exact at any size of the logits
    return (x * logits - softplus(logits)).flatten(1).sum(1)


def gaussian_log_likelihood(x: Tensor, mean: Tensor, log_sigma: Tensor, scale: Tensor | None = None) -> Tensor:
    """log N(x; mean, diag((sigma scale_d)^2)) with one sigma for all dimensions.

    x and mean [rows, *item], log_sigma a scalar; the result is [rows]. scale [*item] is each dimension's unit of sigma;
    None is 1, sigma in item units.
    """
    errors = x - mean if scale is None else (x - mean) / scale
    squares = (errors * torch.exp(-log_sigma)).square().flatten(1)  # [rows, D]
    log_density = -0.5 * squares.sum(1) - squares.shape[1] * (log_sigma + 0.5 * math.log(2 * math.pi))
    return log_density if scale is None else log_density - scale.log().sum()
