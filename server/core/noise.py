"""Replayable random numbers: value j of row i under a seed is one fixed number, whatever else is drawn.

The generator is counter-based: Philox 4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
Its key is (seed, purpose) and its counter comes from (row, block). Inverse transform sampling turns uniforms into
normals (Eq. 3, 4). numpy guarantees the stream of `Philox.random_raw` but not that of `standard_normal` (NEP 19), so
the transform is our own. This file is sampling version 1: any change of its output is a new version.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, TypeAlias

import numpy as np

from server.core.arrays import Doubles, Floats, Words

VALUES_PER_BLOCK = 8  # a Philox block is four 64-bit words: eight 32-bit uniforms
# Has no effect, since each draw sets the counter and key. Without a seed numpy would ask the system for entropy.
_ANY_SEED = np.random.SeedSequence(0)


class Purpose(IntEnum):
    """What the noise is used for. Under one seed, different purposes give independent streams."""

    PRIOR = 1  # z ~ p(z)
    OUTPUT = 2  # x ~ p(x | z)
    POSTERIOR = 3  # z ~ q(z | x)


@dataclass(slots=True)  # every call makes some, and a frozen one takes three times as long to make
class Noise:
    """Rows of normals that are not drawn yet. These fields alone decide every value."""

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
        """The size of the rows once they are drawn, in bytes."""
        return 4 * self.rows * self.size

    def __getitem__(self, part: slice) -> "Noise":
        start, stop, _ = part.indices(self.rows)
        return replace(self, first_row=self.first_row + start, rows=stop - start)

    def of_draw(self, draw: int) -> "Noise":
        """Independent noise for the same rows."""
        return replace(self, draw=draw)


def draw(noises: Sequence[Noise]) -> Floats:
    """Draw several noises of one row size, one after the other: [rows of all, size].

    This is far cheaper than drawing them one by one: they share a generator, and one transform makes all the normals.
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
    """Uniforms in the open interval (0, 1), [rows, size], multiples of 2^-33. The arguments are those of `normals`."""
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
    """The parts as one array, in their order. All noise among them is drawn together."""
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
    """Horner's rule in place: for small arrays, allocating temporaries costs more than the arithmetic."""
    value = highest * x
    for coefficient in others[:-1]:
        value += coefficient
        value *= x
    value += others[-1]
    return value


def _blocks(size: int) -> int:
    """Philox blocks for a row of `size` values. Two rows never share a block."""
    return -(-size // VALUES_PER_BLOCK)


def _words(addresses: Sequence[tuple[int, Purpose, int, int, int]], size: int) -> Words:
    """The raw words for each (seed, purpose, draw, first row, rows), one after the other."""
    blocks = _blocks(size)
    generator = np.random.Philox(_ANY_SEED)
    counter, key = [0, 0, 0, 0], [0, 0]
    start = {
        "bit_generator": "Philox",
        "state": {"counter": counter, "key": key},
        "buffer": (0, 0, 0, 0),
        "buffer_pos": 4,  # the buffer is used up
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
