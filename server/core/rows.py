"""What may wait for a graph: rows that are there, or noise that is drawn when its batch leaves."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from server.core.arrays import Floats
from server.core.latent import Noise, draw

Rows: TypeAlias = Floats | Noise


def together(parts: Sequence[Rows]) -> Floats:
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
