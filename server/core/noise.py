"""Replayable noise: value j of row i under a seed is one fixed number, whatever is drawn beside it.

A counter-based generator (Philox 4x64-10; Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") is keyed
by (seed, purpose) and addressed by (row, block); uniforms become normals by inverse transform sampling (Eq. 3, 4).
numpy promises the stream of `Philox.random_raw`, but none for `standard_normal` (NEP 19), hence our own transform.
This file is sampling version 1: a change of any output is a new version.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, TypeAlias

import numpy as np

from server.core.arrays import Doubles, Floats, Words

VALUES_PER_BLOCK = 8  # a Philox block is four 64-bit words: eight 32-bit uniforms
# Of no consequence, as every generator is set to an address; without one numpy asks the system for entropy each time.
_ANY_SEED = np.random.SeedSequence(0)


class Purpose(IntEnum):
    """What the noise is for: streams of different purposes are independent under one seed."""

    PRIOR = 1  # z ~ p(z)
    OUTPUT = 2  # x ~ p(x | z)
    POSTERIOR = 3  # z ~ q(z | x)


@dataclass(slots=True)  # not frozen, which would take three times as long to make: every call makes some
class Noise:
    """Rows of normals by their address: what is drawn at it is settled, whoever draws it, when, and beside what."""

    seed: Final[int]
    purpose: Final[Purpose]
    first_row: Final[int]
    rows: Final[int]
    size: Final[int]
    deviation: Final[float] = 1.0
    draw: Final[int] = 0

    def __len__(self) -> int:
        return self.rows

    @property
    def nbytes(self) -> int:
        """Of the rows once drawn."""
        return 4 * self.rows * self.size

    def __getitem__(self, part: slice) -> "Noise":
        start, stop, _ = part.indices(self.rows)
        return replace(self, first_row=self.first_row + start, rows=stop - start)

    def of_draw(self, draw: int) -> "Noise":
        """Other noise for the same rows."""
        return replace(self, draw=draw)


def draw(noises: Sequence[Noise]) -> Floats:
    """The normals of several addresses of one size, one after the other, [rows of all, size].

    Far cheaper than one by one: a generator is set to each address in turn, and all uniforms become normals together.
    """
    size = noises[0].size
    words = _words([(n.seed, n.purpose, n.draw, n.first_row, n.rows) for n in noises], size)
    z = inverse_normal_cdf(_uniforms(words, size)).astype(np.float32)
    deviations = np.repeat(np.array([n.deviation for n in noises], np.float32), [n.rows for n in noises])
    z *= deviations[:, np.newaxis]
    return z


def normals(*, seed: int, purpose: Purpose, first_row: int, rows: int, size: int, draw: int = 0) -> Floats:
    """Standard normals [rows, size]: rows first_row, first_row + 1, ... of the sequence of (seed, purpose, draw)."""
    u = uniforms(seed=seed, purpose=purpose, first_row=first_row, rows=rows, size=size, draw=draw)
    return inverse_normal_cdf(u).astype(np.float32)


def uniforms(*, seed: int, purpose: Purpose, first_row: int, rows: int, size: int, draw: int = 0) -> Doubles:
    """Uniforms in the open interval (0, 1), [rows, size], addressed like `normals`; multiples of 2^-33."""
    return _uniforms(_words([(seed, purpose, draw, first_row, rows)], size), size)


def inverse_normal_cdf(u: Doubles) -> Doubles:
    """z with Phi(z) = u, elementwise, for 1e-11 < u < 1 - 1e-11, to about 1e-7 relative (Eq. 3, 4).

    Algorithm AS 241, routine PPND7 (Wichura 1988, Applied Statistics 37, 477-484). Away from the tails it uses only
    exactly rounded operations, so it gives the same bits on every machine.
    """
    q = u - 0.5
    r = 0.180625 - q * q
    z = q * _polynomial(r, 5.9109374720e01, 1.5929113202e02, 5.0434271938e01, 3.3871327179e00)
    z /= _polynomial(r, 6.7187563600e01, 7.8757757664e01, 1.7895169469e01, 1.0)
    tail = np.flatnonzero(r < 0.0)  # |u - 1/2| > 0.425
    if tail.size:
        q = q.take(tail)
        r = np.sqrt(-np.log(0.5 - np.abs(q))) - 1.6
        upper = _polynomial(r, 1.7023821103e-01, 1.3067284816e00, 2.7568153900e00, 1.4234372777e00)
        upper /= _polynomial(r, 1.2021132975e-01, 7.3700164250e-01, 1.0)
        z.put(tail, np.copysign(upper, q))
    return z


Rows: TypeAlias = Floats | Noise


def concatenate(parts: Sequence[Rows]) -> Floats:
    """The parts as one array, in their order; all noise among them is drawn at once."""
    noises = [part for part in parts if isinstance(part, Noise)]
    if not noises:
        return _joined([part for part in parts if not isinstance(part, Noise)])
    drawn = draw(noises)
    if len(noises) == len(parts):
        return drawn
    pieces: list[Floats] = []
    start = 0
    for part in parts:
        if isinstance(part, Noise):
            pieces.append(drawn[start : start + len(part)])
            start += len(part)
        else:
            pieces.append(part)
    return _joined(pieces)


def _joined(pieces: list[Floats]) -> Floats:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _polynomial(x: Doubles, highest: float, *others: float) -> Doubles:
    """By Horner's rule, in one array: for small blocks of noise fresh arrays cost more than the arithmetic."""
    value = highest * x
    for coefficient in others[:-1]:
        value += coefficient
        value *= x
    value += others[-1]
    return value


def _blocks(size: int) -> int:
    """Philox blocks for a row of `size` values: a row never shares a block with its neighbour."""
    return -(-size // VALUES_PER_BLOCK)


def _words(addresses: Sequence[tuple[int, Purpose, int, int, int]], size: int) -> Words:
    """The raw words of (seed, purpose, draw, first row, rows), one address after the other."""
    blocks = _blocks(size)
    generator = np.random.Philox(_ANY_SEED)
    counter, key = [0, 0, 0, 0], [0, 0]
    start = {
        "bit_generator": "Philox",
        "state": {"counter": counter, "key": key},
        "buffer": (0, 0, 0, 0),
        "buffer_pos": 4,  # nothing is left of the buffer
        "has_uint32": 0,
        "uinteger": 0,
    }
    words = []
    for seed, purpose, draw, first_row, rows in addresses:
        counter[1], counter[0] = divmod(first_row * blocks, 2**64)
        counter[2], key[0], key[1] = draw, seed, purpose
        generator.state = start  # type: ignore[assignment]  # the stubs want arrays; integers are read twice as fast
        words.append(generator.random_raw(rows * blocks * 4))
    return words[0] if len(words) == 1 else np.concatenate(words)


def _uniforms(words: Words, size: int) -> Doubles:
    # Little-endian halves on every machine: the low half of a word comes first.
    values = words.astype("<u8", copy=False).view("<u4").reshape(-1, _blocks(size) * VALUES_PER_BLOCK)[:, :size]
    return np.asarray((values + 0.5) * 2.0**-32)
