"""The model versions of a server: loaded from its folder, told to metrics and log, and closed."""

import structlog

from server.core.model import Entry, Execution
from server.runtime import catalog
from server.runtime.catalog import Catalog
from server.runtime.choice import Given
from server.runtime.loading import MakeBatcher, Plan
from server.runtime.remembered import Remembered
from server.settings import Settings
from server.telemetry.metrics import Metrics

REQUEST_OVERHEAD_BYTES = 1 << 16  # everything in a request that is not rows


class Versions:
    """Every model version under the folder of the settings."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
        *,
        cores: int,
        make_batcher: MakeBatcher,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._cores = cores
        self._make_batcher = make_batcher

    def load(self) -> Catalog:
        """Load everything. Raises ArtifactError or DeviceUnavailable."""
        settings = self._settings
        self._catalog = catalog.load(
            settings.models,
            default_model=settings.default_model,
            plan=Plan(
                device=settings.device,
                given=Given(settings.max_batch_rows, settings.executors, settings.threads),
                cores=self._cores,
                remembered=Remembered(settings.calibration_folder, tell=self._report_not_remembered),
                cuda_graphs=settings.cuda_graphs == "on",
            ),
            make_batcher=self._make_batcher,
            report=self._report,
        )
        return self._catalog

    def max_request_bytes(self) -> int:
        """The largest message that a valid request can be, over all models."""
        specs = [entry.model.spec for entry in self._catalog.entries() if entry.model]
        row_bytes = max(4 * max(spec.item_size, spec.latent_size) for spec in specs)
        return self._settings.max_request_rows * row_bytes + REQUEST_OVERHEAD_BYTES

    def close(self) -> None:
        """Finish what every batcher has accepted, then stop them."""
        self._catalog.close()

    def _report(self, entry: Entry) -> None:
        self._metrics.model(entry)
        if entry.model is None:
            self._log.error("model refused", model=entry.name, version=entry.version, reason=entry.reason)
            return
        graphs = {
            name: f"{g.provider} {g.max_batch_rows} rows x {g.executors} executors + {g.helpers} helpers"
            f" x {g.threads} threads, {_rate(g)}"
            for name, g in entry.model.graphs.items()
        }
        self._log.info(
            "model ready", model=entry.name, version=entry.version, digest=entry.model.spec.digest[:12], **graphs
        )

    def _report_not_remembered(self, reason: str) -> None:
        self._log.info("calibration not kept", reason=reason)


def _rate(execution: Execution) -> str:
    rate = execution.rows_per_second
    return execution.source if rate is None else f"{rate:.0f} rows/s {execution.source}"
