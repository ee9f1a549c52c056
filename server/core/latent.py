"""Replayable noise: value j of row i under a seed is one fixed number, whatever is drawn beside it.

A counter-based generator (Philox 4x64-10; Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") is keyed
by (seed, purpose) and addressed by (row, block); uniforms become normals by inverse transform sampling (Eq. 3, 4).
numpy promises the stream of `Philox.random_raw`, but none for `standard_normal` (NEP 19), hence our own transform.
This file is sampling version 1: a change of any output is a new version.
"""

from enum import IntEnum

import numpy as np

from server.core.arrays import Doubles, Floats

VALUES_PER_BLOCK = 8  # a Philox block is four 64-bit words: eight 32-bit uniforms


class Purpose(IntEnum):
    """What the noise is for: streams of different purposes are independent under one seed."""

    PRIOR = 1  # z ~ p(z)
    OUTPUT = 2  # x ~ p(x | z)
    POSTERIOR = 3  # z ~ q(z | x)


def normals(*, seed: int, purpose: Purpose, first_row: int, rows: int, size: int, draw: int = 0) -> Floats:
    """Standard normals [rows, size]: rows first_row, first_row + 1, ... of the sequence of (seed, purpose, draw)."""
    u = uniforms(seed=seed, purpose=purpose, first_row=first_row, rows=rows, size=size, draw=draw)
    return inverse_normal_cdf(u).astype(np.float32)


def uniforms(*, seed: int, purpose: Purpose, first_row: int, rows: int, size: int, draw: int = 0) -> Doubles:
    """Uniforms in the open interval (0, 1), [rows, size], addressed like `normals`; multiples of 2^-33."""
    blocks = -(-size // VALUES_PER_BLOCK)  # per row: a row never shares a block with its neighbour
    counter = (draw << 128) + first_row * blocks
    words = np.random.Philox(key=(int(purpose) << 64) + seed, counter=counter).random_raw(rows * blocks * 4)
    # Little-endian halves on every machine: the low half of a word comes first.
    values = words.astype("<u8", copy=False).view("<u4").reshape(rows, blocks * VALUES_PER_BLOCK)[:, :size]
    return np.asarray((values + 0.5) * 2.0**-32)


def inverse_normal_cdf(u: Doubles) -> Doubles:
    """z with Phi(z) = u, elementwise, for 1e-11 < u < 1 - 1e-11, to about 1e-7 relative (Eq. 3, 4).

    Algorithm AS 241, routine PPND7 (Wichura 1988, Applied Statistics 37, 477-484). Away from the tails it uses only
    exactly rounded operations, so it gives the same bits on every machine.
    """
    q = u - 0.5
    r = 0.180625 - q * q
    z = (
        q
        * (((5.9109374720e01 * r + 1.5929113202e02) * r + 5.0434271938e01) * r + 3.3871327179e00)
        / (((6.7187563600e01 * r + 7.8757757664e01) * r + 1.7895169469e01) * r + 1.0)
    )
    tail = np.nonzero(r < 0.0)  # |u - 1/2| > 0.425
    if tail[0].size:
        q = q[tail]
        r = np.sqrt(-np.log(0.5 - np.abs(q))) - 1.6
        upper = (((1.7023821103e-01 * r + 1.3067284816e00) * r + 2.7568153900e00) * r + 1.4234372777e00) / (
            (1.2021132975e-01 * r + 7.3700164250e-01) * r + 1.0
        )
        z[tail] = np.copysign(upper, q)
    return z
