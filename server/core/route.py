"""Which version of a model answers a caller who names none. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

STABLE, CANARY = LABELS = ("stable", "canary")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model's calls go; "" where there is no such version."""

    stable: str = ""
    canary: str = ""
    weight: float = 0.0  # the canary's share of the calls that name neither version nor label

    def pick(self, label: str, *, draw: Callable[[], float]) -> str:
        """The version for a label, or for none. `draw` gives a number in [0, 1), and is asked only if it matters."""
        if label == CANARY:
            return self.canary
        if label == "" and self.canary and draw() < self.weight:
            return self.canary
        return self.stable

    def labels(self, version: str) -> tuple[str, ...]:
        """What a version may be called instead of its number."""
        return tuple(label for label, named in zip(LABELS, (self.stable, self.canary), strict=True) if named == version)

    def share(self, version: str) -> float:
        """The part of the calls that name neither version nor label which a version gets, 0 to 1."""
        weight = self.weight if self.canary else 0.0
        return (1.0 - weight) * (version == self.stable) + weight * (version == self.canary)
