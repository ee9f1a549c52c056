"""The metrics of a supervisor: its own and those of all its workers in one exposition."""

import threading
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from server.telemetry import exposition, merging
from server.telemetry.merging import Ledger


class SupervisionMetrics:
    """The merged metrics of all processes. Scrapes come on other threads than `joined`, `left` and `restarted`."""

    def __init__(self, *, workers: int, ask: Callable[[], Mapping[int, bytes]]) -> None:
        """`ask` returns the serialised metrics of every worker that answers, by the worker's name."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # as in telemetry.metrics
        own = self.own = CollectorRegistry()
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)
        GCCollector(registry=own)
        Gauge("vae_workers", "With --workers above 1: workers asked for.", registry=own).set(workers)
        self._restarts = Counter(
            "vae_worker_restarts_total", "With --workers above 1: workers restarted after they died.", registry=own
        )
        self._ask = ask
        self._ledger = Ledger()
        self._writing = threading.Lock()
        self._scraping = threading.Lock()  # an older answer must not come after a newer one
        self._all = CollectorRegistry()
        self._all.register(_MergedCollector(self._scrape))

    def serve(self, host: str, port: int) -> tuple[int, Callable[[], None]]:
        """Expose the metrics over HTTP; return the port, and a function that stops it. Raises OSError."""
        return exposition.serve(self._all, host=host, port=port)

    def joined(self, process: int) -> None:
        """Record that a worker serves and can be asked."""
        with self._writing:
            self._ledger.join(process)

    def left(self, process: int) -> None:
        """Record that a worker that had joined has ended."""
        with self._writing:
            self._ledger.leave(process)

    def restarted(self) -> None:
        """Record that a worker was started in place of one that died."""
        self._restarts.inc()

    def _scrape(self) -> merging.Reading:
        with self._scraping:
            readings = {process: merging.load(dumped) for process, dumped in self._ask().items()}
            with self._writing:
                for process, reading in readings.items():
                    self._ledger.read(process, reading)
                return self._ledger.total(list(self.own.collect()))


class _MergedCollector(Collector):
    def __init__(self, scrape: Callable[[], merging.Reading]) -> None:
        self._scrape = scrape

    def collect(self) -> Iterator[Metric]:
        yield from self._scrape()
