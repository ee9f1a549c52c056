"""A reader of Prometheus' text format, as far as our server writes it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a value under a name and labels."""

    labels: dict[str, str]
    value: float


class Exposition:
    """All samples of one reading."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for a line that is not a sample."""
        self._samples: dict[str, list[Sample]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                matched = _SAMPLE.fullmatch(line)
                if not matched:
                    raise ValueError(f"line {number} is no sample of a metric: {line[:80]!r}")
                name, labels, value = matched.groups()
                self._samples.setdefault(name, []).append(Sample(dict(_labels(labels or "")), float(value)))

    def of(self, name: str, **labels: str) -> Iterator[Sample]:
        """The samples with this name and these labels; they may have more labels."""
        for sample in self._samples.get(name, ()):
            if all(sample.labels.get(key) == value for key, value in labels.items()):
                yield sample

    def sum(self, name: str, **labels: str) -> float:
        """The sum of these samples; 0 if there are none."""
        return sum(sample.value for sample in self.of(name, **labels))

    def groups(self, name: str, *labels: str) -> list[dict[str, str]]:
        """The combinations of values that these labels have in the samples of this name, in order of appearance."""
        seen = {tuple(sample.labels.get(label, "") for label in labels): None for sample in self.of(name)}
        return [dict(zip(labels, values, strict=True)) for values in seen]


def _labels(text: str) -> Iterator[tuple[str, str]]:
    for name, value in _LABEL.findall(text):
        yield name, re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), value)
