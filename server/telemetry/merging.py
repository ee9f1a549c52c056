"""Merges the metrics of several processes into one exposition. Pure: readings go in, metric families come out."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.samples import Exemplar, Sample

Reading: TypeAlias = Sequence[Metric]  # what one process exposed at one moment
_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]  # a sample's name and labels

_COUNTS = ("counter", "histogram", "summary")
# Gauges add up, as they count rows, bytes or descriptors. These do not.
_RULES: dict[str, Callable[[Iterable[float]], float]] = {
    "vae_executor_up": min,  # 1 while the executors of every process run
    "vae_model_ready": min,
    "vae_model_info": max,
    "vae_training_share": max,
    "vae_graph_max_batch_rows": max,
    "vae_graph_threads": max,
    "python_info": max,
    "vae_certificate_expiry_timestamp_seconds": min,
    "process_start_time_seconds": min,
    "process_max_fds": min,  # a limit of each process
}


class Ledger:
    """The counts of all processes, including those that have ended, so that no counter goes down at a restart."""

    def __init__(self) -> None:
        self._present: dict[int, Reading] = {}
        self._departed: Reading = ()
        self._shown: dict[_Key, float] = {}

    def join(self, process: int) -> None:
        """Add a process, whose readings will follow."""
        self._present[process] = ()

    def read(self, process: int, reading: Reading) -> None:
        """Keep the newest reading of a process until the next one; ignore it if the process has left."""
        if process in self._present:
            self._present[process] = reading

    def leave(self, process: int) -> None:
        """Remove a process that ended: keep its counts, drop its gauges."""
        gone = self._present.pop(process)
        self._departed = merge([self._departed, [family for family in gone if family.type in _COUNTS]])

    def total(self, *others: Reading) -> Reading:
        """One reading of all processes, and of `others`."""
        families = merge([*others, *self._present.values(), self._departed])
        before, self._shown = self._shown, {}  # a series that is gone may begin again from 0
        for family in families:
            if family.type in _COUNTS:
                family.samples = [self._not_below(sample, before) for sample in family.samples]
        return families

    def _not_below(self, sample: Sample, before: Mapping[_Key, float]) -> Sample:
        # The rounding of a sum depends on its order, and Prometheus takes the smallest decrease for a restart from 0.
        key = _key(sample)
        self._shown[key] = max(sample.value, before.get(key, 0.0))
        return sample._replace(value=self._shown[key])


def dump(reading: Iterable[Metric]) -> bytes:
    """Serialise a reading for another process, which reads it far faster than Prometheus' own formats."""
    return json.dumps(
        [
            (
                family.name,
                family.documentation,
                family.type,
                [(s.name, s.labels, s.value, s.exemplar) for s in family.samples],
            )
            for family in reading
        ]
    ).encode()


def load(dumped: bytes) -> Reading:
    """Read what another process dumped."""
    reading = []
    for name, documentation, kind, samples in json.loads(dumped):
        family = Metric(name, documentation, kind)
        family.samples = [
            Sample(sample, labels, value, exemplar=Exemplar(*exemplar) if exemplar else None)
            for sample, labels, value, exemplar in samples
        ]
        reading.append(family)
    return reading


def merge(readings: Iterable[Reading]) -> Reading:
    """Merge several readings into one, sample by sample: counts and most gauges add up."""
    families: dict[str, Metric] = {}
    samples: dict[str, dict[_Key, list[Sample]]] = {}
    for reading in readings:
        for family in reading:
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            of_family = samples.setdefault(family.name, {})
            for sample in family.samples:
                of_family.setdefault(_key(sample), []).append(sample)
    for name, family in families.items():
        rule = _RULES.get(name, math.fsum)
        family.samples = [
            Sample(same[0].name, same[0].labels, float(rule(sample.value for sample in same)), exemplar=_newest(same))
            for same in samples[name].values()
        ]
    return list(families.values())


def _newest(samples: Iterable[Sample]) -> Exemplar | None:
    exemplars = [sample.exemplar for sample in samples if sample.exemplar]
    return max(exemplars, key=lambda exemplar: float(exemplar.timestamp or 0.0), default=None)


def _key(sample: Sample) -> _Key:
    return sample.name, tuple(sorted(sample.labels.items()))
