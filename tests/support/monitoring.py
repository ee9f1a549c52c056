"""A real Prometheus and a real Alertmanager on ports of their own, with the rules of this repository."""

import json
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import pytest

from server.telemetry.metrics import Metrics
from server.telemetry.supervision import SupervisionMetrics
from support.programs import missing
from support.waiting import SLOW_SECONDS, wait_until

RULES = Path(__file__).parents[2] / "deploy/prometheus/rules.yml"
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
INTERVAL = "500ms"  # between scrapes, and between evaluations: far shorter than deployed


class Prometheus:
    """A Prometheus, queried over its HTTP API."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; one that fails raises HTTPError."""
        query = urllib.parse.urlencode({"query": expression})
        answer = json.loads(get(f"{self.address}/api/v1/query?{query}"))
        assert answer["status"] == "success"
        return answer["data"]["result"]


@cache
def server_metrics() -> Mapping[str, str]:
    """What the registries of a server and of a supervisor hold: name, as a scrape shows it, and type."""
    families = [*Metrics().registry.collect(), *SupervisionMetrics(workers=2, ask=dict).own.collect()]
    return {f.name + "_total" * (f.type == "counter"): f.type for f in families}


@contextmanager
def prometheus(
    target: str, folder: Path, *, alertmanager: str | None = None, rules: Callable[[str], str] = lambda text: text
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes one target as job vaeserve; `rules` may change the repository's rules for a test."""
    (folder / "rules.yml").write_text(rules(RULES.read_text()))
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "vaeserve", "static_configs": [{"targets": [target]}]}],
    }
    if alertmanager:
        configuration["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    (folder / "prometheus.yml").write_text(json.dumps(configuration))  # JSON is YAML
    port = free_port()
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with running(command, f"127.0.0.1:{port}/-/ready", folder / "prometheus.log"):
        yield Prometheus(port)


@contextmanager
def alertmanager(webhook: str, folder: Path) -> Iterator[str]:
    """An Alertmanager that sends every alert to a webhook at once; its address."""
    receiver = {"name": "webhook", "webhook_configs": [{"url": webhook}]}
    route = {"receiver": "webhook", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"}
    (folder / "alertmanager.yml").write_text(json.dumps({"route": route, "receivers": [receiver]}))
    port = free_port()
    assert ALERTMANAGER is not None
    command = [
        ALERTMANAGER, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with running(command, f"127.0.0.1:{port}/-/ready", folder / "alertmanager.log"):
        yield f"127.0.0.1:{port}"


@contextmanager
def webhook() -> Iterator[tuple[str, "SimpleQueue[Mapping[str, Any]]"]]:
    """A webhook for an Alertmanager: its address, and the alerts as they arrive."""
    alerts: SimpleQueue[Mapping[str, Any]] = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            for alert in json.loads(self.rfile.read(int(self.headers["content-length"])))["alerts"]:
                alerts.put(alert)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/", alerts
        finally:
            http.shutdown()
            thread.join()


@contextmanager
def running(command: list[str], ready: str, log: Path) -> Iterator[None]:
    """A process that answers at `ready`, and is gone afterwards."""
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            wait_until(lambda: answers(ready), seconds=SLOW_SECONDS, otherwise=log.read_text)
            yield
        finally:
            process.send_signal(signal.SIGKILL)


@contextmanager
def repeated(work: Callable[[], object]) -> Iterator[None]:
    """Repeat an action in a thread beside the test. Its error is raised at the end."""
    over, errors = Event(), []

    def repeat() -> None:
        try:
            while not over.is_set():
                work()
        except Exception as error:
            errors.append(error)

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if errors:
        raise errors[0]


def answers(address: str) -> bool:
    try:
        get(address)
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def get(address: str) -> bytes:
    with urllib.request.urlopen(f"http://{address}", timeout=10) as response:
        return response.read()


def free_port() -> int:
    """A port that was free a moment ago; neither program can report a port of its own choice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def promtool(*arguments: str | Path, text: str = "") -> None:
    """Run promtool, which must find nothing wrong. Skips the test where it is not installed."""
    checked("promtool", *arguments, text=text)


def checked(tool: str, *arguments: str | Path, text: str = "") -> None:
    """Run a program of Prometheus or Alertmanager, which must find nothing wrong. Skips the test without it."""
    if reason := missing(tool, package="prometheus prometheus-alertmanager"):
        pytest.skip(reason)
    done = subprocess.run([tool, *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
