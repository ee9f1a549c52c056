"""Reads a server's metrics at intervals, and goes on while the server is unreachable."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vaeserve.watch import figures
from vaeserve.watch.exposition import Exposition
from vaeserve.watch.figures import Figures, Reading

FETCH_SECONDS = 5.0  # at most, for one reading


class MetricsAway(Exception):
    """The address returns no metrics; the message says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One reading: the server's figures, or why there are none and for how many seconds already."""

    figures: Figures | None
    problem: str = ""
    away_seconds: float = 0.0


def fetch(url: str) -> Exposition:
    """The metrics at an http or https address. Raises MetricsAway."""
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as answer:  # noqa: S310 - the command checks the scheme
            exposition = Exposition(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise MetricsAway(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise MetricsAway(_reason(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise MetricsAway(_reason(error)) from error
    except ValueError as error:  # no UTF-8, or no such format
        raise MetricsAway(f"what answers is no Prometheus exposition: {error}") from error
    if not exposition.groups("grpc_server_started_total"):
        raise MetricsAway("what answers is no vaeserve server: it has no metric grpc_server_started_total")
    return exposition


def watch(
    fetch: Callable[[], Exposition],
    *,
    interval: float,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Frame]:
    """A frame every `interval` seconds, for ever. The first, and the first after an outage, has no rates."""
    before: Reading | None = None
    away_since: float | None = None
    while True:
        begun = clock()
        try:
            now = Reading(fetch(), clock())
        except MetricsAway as away:
            before, away_since = None, begun if away_since is None else away_since
            yield Frame(None, str(away), clock() - away_since)
        else:
            yield Frame(figures.between(before, now, wall_clock=wall_clock()))
            before, away_since = now, None
        sleep(max(0.0, interval - (clock() - begun)))


def _reason(error: object) -> str:
    return (error.strerror or str(error) or type(error).__name__) if isinstance(error, OSError) else str(error)
