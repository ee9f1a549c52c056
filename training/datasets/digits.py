"""The reader of scikit-learn's bundled digits: 1,797 images of 8x8 pixels, available without a network."""

import numpy as np
import torch

from training.datasets.dataset import Source, Split
from training.randomness import generator

HELD_OUT = 180  # validation rows, and as many test rows


def read() -> Source:
    """The digits, with values 0..16 scaled to bytes 0..255. The splits are random and the same for every run."""
    from sklearn.datasets import load_digits  # late: it takes a second to import, and most runs read other data

    bundle = load_digits()
    rows = torch.from_numpy(np.rint(bundle.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)  # [N, 1, 8, 8]
    labels = torch.from_numpy(bundle.target.astype(np.int64))
    order = torch.randperm(len(rows), generator=generator(0, "split"))
    test, validation, train = order[:HELD_OUT], order[HELD_OUT : 2 * HELD_OUT], order[2 * HELD_OUT :]
    return Source(
        "digits",
        Split(rows[train], labels[train]),
        Split(rows[validation], labels[validation]),
        Split(rows[test], labels[test]),
    )
