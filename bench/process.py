"""A process that runs for the time of a measurement, and its log."""

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS, STOP_SECONDS = 120.0, 30.0
LAST_LINES = 30  # of the log, shown if the process fails


@contextmanager
def process(
    command: Sequence[str], *, cores: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", "Log"]]:
    """A process and its log. At the end it is stopped, together with all processes that it started.

    It runs on these `cores`, as taskset writes them, or on all if that is empty.
    """
    started = subprocess.Popen(
        [*(["taskset", "-c", cores] if cores else []), *command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    log = Log(started)
    try:
        yield started, log
    finally:
        started.terminate()
        with suppress(subprocess.TimeoutExpired):
            started.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        log.close()


class Log:
    """A process's standard error, read in a thread so that the process never blocks."""

    def __init__(self, started: "subprocess.Popen[str]") -> None:
        assert started.stderr is not None
        self._stream = started.stderr
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._seen = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for(self, text: str) -> str:
        """Wait for the line that holds `text`. Raises RuntimeError if it does not come."""
        with self._seen:
            self._seen.wait_for(lambda: self._ended or self._find(text), START_SECONDS)
            line = self._find(text)
            if line is None:
                raise RuntimeError("the server did not come up; it said:\n" + "\n".join(self._last))
            return line

    def tail(self) -> str:
        """The last lines."""
        with self._seen:
            return "\n".join(self._last)

    def close(self) -> None:
        self._thread.join()
        self._stream.close()

    def _find(self, text: str) -> str | None:
        return next((line for line in self._last if text in line), None)

    def _read(self) -> None:
        for line in self._stream:
            with self._seen:
                self._last.append(line.rstrip("\n"))
                self._seen.notify_all()
        with self._seen:
            self._ended = True
            self._seen.notify_all()
