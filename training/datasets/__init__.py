"""Where training rows come from: `load(source)` reads any of the sources into one in-memory Dataset."""

from training.datasets.dataset import Dataset, Split
from training.datasets.source import load

__all__ = ["Dataset", "Split", "load"]
