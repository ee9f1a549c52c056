"""Structured logs on standard error: JSON for machines, colours for a terminal."""

import logging
import sys
from typing import Literal, TypeAlias

import structlog

Format: TypeAlias = Literal["json", "console"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Log: TypeAlias = structlog.typing.FilteringBoundLogger


def configure(*, log_format: Format, level: Level, worker: int | None = None) -> Log:
    """Set up structlog and return the server's logger. Each line of a worker has the worker's number."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors.append(structlog.processors.dict_tracebacks)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    # grpc and asyncio log through the standard library: to the same stream, warnings and errors only.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logger: Log = structlog.get_logger()
    return logger if worker is None else logger.bind(worker=worker)
