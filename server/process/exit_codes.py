"""How a server process ends, however it was started: its exit codes, and the line that says why it could not start."""

from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import StartFailed
from server.settings import Settings
from server.telemetry import logs
from server.telemetry.logs import Log

DRAINED, BROKEN, CANNOT_START = 0, 1, 2


@contextmanager
def start_failures_logged(settings: Settings, *, worker: int | None) -> Iterator[Log]:
    """The log that the settings ask for; `worker` is the number of a worker process.

    StartFailed is told there in one line and goes no further: then the process ends with CANNOT_START.
    """
    log = logs.configure(log_format=settings.log_format, level=settings.log_level, worker=worker)
    try:
        yield log
    except StartFailed as error:
        log.error("cannot start", reason=str(error))
