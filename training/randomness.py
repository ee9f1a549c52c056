"""Randomness as an argument: a generator for (seed, stream, counter).

Every draw of a run comes from such a generator and none has a history: the noise of step 1,000 is the same whether the
run came there in one go or was resumed at step 999. So a checkpoint needs no generator state, and nothing else in the
process can disturb a run.
"""

import hashlib
from typing import Literal

import torch

Stream = Literal["weights", "split", "order", "step", "validation", "golden", "pictures", "held_out", "evaluation"]


def generator(seed: int, stream: Stream, counter: int = 0, *, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator; equal arguments give equal draws (per kind of device)."""
    digest = hashlib.sha256(f"{seed}/{stream}/{counter}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
