"""Data sets for training: `load(source)` reads files, folders and bundled data into one Dataset."""

from training.datasets.dataset import Dataset, Split
from training.datasets.source import load

__all__ = ["Dataset", "Split", "load"]
