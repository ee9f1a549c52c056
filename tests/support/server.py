"""A real `python -m server` process on ports of its own choosing."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
STOP_SECONDS = 60.0
# With these given the server measures nothing at its start, and starts several times as fast.
FIXED = ("--max-batch-rows", "64", "--executors", "1", "--threads", "1")


class ServerProcess:
    """A server and what it logs.

    Batch size, executors and threads are FIXED unless the arguments give others. `calibrate` leaves them out, so that
    the server measures them: for tests whose subject is that measurement.
    """

    def __init__(self, *arguments: str, calibrate: bool = False, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "server", "--port", "0", "--metrics-port", "0", "--log-format", "json"]
        self.process = subprocess.Popen(
            [*command, *(() if calibrate else FIXED), *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "VAESERVE_CALIBRATION_CACHE": "off", **(env or {})},
        )
        self.lines: list[str] = []
        self._ready: dict[str, Any] | None = None
        self._ready_or_gone = threading.Event()
        self._new_line = threading.Condition()  # notified of every line
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._new_line:
                self.lines.append(line.rstrip("\n"))
                self._new_line.notify_all()
            if '"event": "ready"' in line:
                self._ready = json.loads(line)
                self._ready_or_gone.set()
        self._ready_or_gone.set()

    def wait_until_ready(self) -> "ServerProcess":
        assert self._ready_or_gone.wait(START_SECONDS), "\n".join(self.lines)
        assert self._ready is not None, "\n".join(self.lines)
        return self

    def wait_for(self, event: str, *, times: int = 1) -> None:
        """Wait until an event was logged so many times."""
        with self._new_line:
            assert self._new_line.wait_for(
                lambda: sum(f'"event": "{event}"' in line for line in self.lines) >= times, START_SECONDS
            ), "\n".join(self.lines)

    @property
    def target(self) -> str:
        assert self._ready is not None
        return f"127.0.0.1:{self._ready['port']}"

    @property
    def web_target(self) -> str:
        """Where HTTP/JSON and the page are: with grpcio on a port of their own."""
        ports = [json.loads(line)["port"] for line in self.lines if '"event": "web"' in line]
        return f"127.0.0.1:{ports[0]}" if ports else self.target

    @property
    def metrics_target(self) -> str:
        assert self._ready is not None
        return f"127.0.0.1:{self._ready['metrics_port']}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.metrics_target}/metrics"

    def exposition(self, *, accept: str = "text/plain") -> str:
        """What a scrape gets that asks for this format."""
        request = urllib.request.Request(self.metrics_url, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read().decode()

    def metrics(self) -> dict[str, float]:
        """Every sample of the exposition by its name and labels as printed."""
        text = self.exposition()
        return {m[1]: float(m[2]) for m in re.finditer(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}

    def sum(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            value
            for sample, value in self.metrics().items()
            if sample.partition("{")[0] == name and all(label in sample for label in wanted)
        )

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(STOP_SECONDS)
        self._reader.join()
        return code


@contextmanager
def server(
    models: Path, *arguments: str, calibrate: bool = False, env: dict[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A ready server that is gone afterwards."""
    started = ServerProcess("--models", str(models), *arguments, calibrate=calibrate, env=env)
    try:
        yield started.wait_until_ready()
    finally:
        started.process.kill()
        started.wait()
        assert started.process.stderr is not None
        started.process.stderr.close()
