"""The exit codes of every server process, and the log line that says why a server could not start."""

from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import StartFailed
from server.settings import Settings
from server.telemetry import logs
from server.telemetry.logs import Log

DRAINED, BROKEN, CANNOT_START = 0, 1, 2


@contextmanager
def start_failures_logged(settings: Settings, *, worker: int | None) -> Iterator[Log]:
    """Give the body the configured log; log a StartFailed from the body in one line and end it.

    `worker` is the number of a worker process. After StartFailed the caller should exit with CANNOT_START.
    """
    log = logs.configure(log_format=settings.log_format, level=settings.log_level, worker=worker)
    try:
        yield log
    except StartFailed as error:
        log.error("cannot start", reason=str(error))
