"""Drift metrics: how the rows that callers send to Reconstruct compare with the held-out rows.

One histogram of the reconstruction's negative log-likelihood and one of KL. The buckets are quantiles of the held-out
rows, and `vae_training_share` gives the share of those rows in each bucket. With the two, the population stability
index is plain PromQL (deploy/prometheus/rules.yml).
"""

import threading
from collections.abc import Iterator

import numpy as np
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from server.core.arrays import Doubles, Floats
from server.core.events import RowsScored
from server.core.spec import LatentMode, Spec

BOUNDS = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)  # percentiles
OUTLIER_BELOW = 1.0  # percentile of the ELBO
# Calls wait here until a scrape, or until there are this many calls or rows: one pass over many costs little more than
# a pass over one.
FOLD_CALLS, FOLD_ROWS = 256, 8192
_LABELS = ("model", "version", "latent")


class Drift(Collector):
    """The drift metrics of every loaded version. Rows are added on the callers' thread, and collected on others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str, LatentMode], _ScoreTotals] = {}

    def watch(self, model: str, version: str, spec: Spec) -> None:
        """Create the series of a version, at zero."""
        with self._lock:
            for latent in spec.nll_percentiles:
                self._seen[model, version, latent] = _ScoreTotals(
                    spec.nll_percentiles[latent], spec.kl_percentiles[latent]
                )

    def forget(self, model: str, version: str) -> None:
        """Remove the series of a version."""
        with self._lock:
            self._seen = {labels: seen for labels, seen in self._seen.items() if labels[:2] != (model, version)}

    def observe(self, scored: RowsScored) -> None:
        """Count the rows of one call. Rows of a version that was forgotten meanwhile are ignored."""
        with self._lock:
            if seen := self._seen.get((scored.model, scored.version, scored.latent)):
                seen.add(scored)

    def collect(self) -> Iterator[Metric]:
        """The series as they are now."""
        nll = HistogramMetricFamily(
            "vae_reconstruction_nll",
            "-log p(x given z) of reconstructed rows, nats; buckets are quantiles of held-out rows.",
            labels=_LABELS,
        )
        kl = HistogramMetricFamily(
            "vae_kl_nats", "KL of reconstructed rows, nats; buckets are quantiles of held-out rows.", labels=_LABELS
        )
        outliers = CounterMetricFamily(
            "vae_outlier_rows",
            "Reconstructed rows whose ELBO is below the 1st percentile of held-out rows.",
            labels=_LABELS,
        )
        shares = GaugeMetricFamily(
            "vae_training_share",
            "Share of the held-out rows between two neighbouring bucket bounds; quantity is reconstruction_nll or kl.",
            labels=(*_LABELS, "quantity", "lower", "upper"),
        )
        with self._lock:
            for labels, seen in self._seen.items():
                seen.fold()
                outliers.add_metric(labels, seen.outliers)
                for quantity, family, histogram in (("reconstruction_nll", nll, seen.nll), ("kl", kl, seen.kl)):
                    family.add_metric(labels, histogram.buckets(), histogram.sum)
                    for lower, upper, share in histogram.shares:
                        shares.add_metric((*labels, quantity, lower, upper), share)
        yield from (nll, kl, outliers, shares)


class _ScoreTotals:
    """The histograms and outliers of one version and one latent mode (mean or draw)."""

    def __init__(self, nll_percentiles: Doubles, kl_percentiles: Doubles) -> None:
        self.nll, self.kl = _Histogram(nll_percentiles), _Histogram(kl_percentiles)
        self.outliers = 0
        self._pending: list[RowsScored] = []
        self._rows = 0

    def add(self, scored: RowsScored) -> None:
        self._pending.append(scored)
        self._rows += len(scored.kl)
        if self._rows >= FOLD_ROWS or len(self._pending) >= FOLD_CALLS:
            self.fold()

    def fold(self) -> None:
        if not self._pending:
            return
        self.nll.add(np.concatenate([scored.nll for scored in self._pending]))
        self.kl.add(np.concatenate([scored.kl for scored in self._pending]))
        percentiles = np.concatenate([scored.elbo_percentile for scored in self._pending])
        self.outliers += int(np.count_nonzero(~(percentiles >= OUTLIER_BELOW)))  # NaN counts as an outlier
        self._pending, self._rows = [], 0


class _Histogram:
    """A histogram whose bucket bounds are quantiles of held-out rows."""

    def __init__(self, percentiles: Doubles) -> None:
        """`percentiles` [101] are the values at ranks 0..100. Equal quantiles become one bound."""
        ranks = {float(f"{percentiles[rank]:.6g}"): rank for rank in BOUNDS}  # equal bounds keep the highest rank
        self.sum = 0.0  # of the finite values
        self._bounds = np.array(list(ranks))
        self._counts = np.zeros(len(ranks) + 1, np.int64)
        self._names = [*map(floatToGoString, ranks), "+Inf"]
        within = np.diff([0, *ranks.values(), 100]) / 100
        self.shares = tuple(zip(["-Inf", *self._names[:-1]], self._names, within.tolist(), strict=True))

    def add(self, values: Floats) -> None:
        """Count values [rows]; NaN is above every bound."""
        self._counts += np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._counts))
        self.sum += float(values.sum(where=np.isfinite(values), dtype=np.float64))

    def buckets(self) -> list[tuple[str, float]]:
        """Each bound with the number of values not above it."""
        return list(zip(self._names, self._counts.cumsum().tolist(), strict=True))
