"""Random number generators: a new one for each (seed, stream, counter).

Every draw of a run comes from such a generator, so no draw depends on earlier ones. The noise of step 1,000 is the same
whether the run was resumed at step 999 or not. A checkpoint needs no generator state, and no other code in the process
can change a run.
"""

import hashlib
from typing import Literal

import torch

Stream = Literal["weights", "split", "order", "step", "validation", "golden", "pictures", "held_out", "evaluation"]


def generator(seed: int, stream: Stream, counter: int = 0, *, device: torch.device | str = "cpu") -> torch.Generator:
    """A new generator. Equal arguments give equal draws on the same kind of device."""
    digest = hashlib.sha256(f"{seed}/{stream}/{counter}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
