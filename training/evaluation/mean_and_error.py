"""MeanAndError: a mean over rows with its standard error, as figures are reported."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class MeanAndError:
    """A mean over rows and its standard error, in the unit of the rows' values."""

    mean: float
    standard_error: float

    @classmethod
    def of(cls, values: Tensor) -> "MeanAndError":
        """The mean and standard error of values [rows], at least two, computed in float64."""
        values = values.double()
        return cls(float(values.mean()), float(values.std() / len(values) ** 0.5))
