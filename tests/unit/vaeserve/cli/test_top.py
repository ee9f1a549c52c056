"""`vaeserve top`: without a terminal, and on one."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click.testing
import pytest

from vaeserve import cli

PROGRAM = Path(sys.executable).with_name("vaeserve")
SCREEN, BACK, CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
EXPOSITION = """
grpc_server_started_total{{grpc_method="Sample",grpc_service="vaeserve.v1.VaeService"}} {calls}
grpc_server_handled_total{{grpc_code="OK",grpc_method="Sample",grpc_service="vaeserve.v1.VaeService"}} {calls}
vae_rows_total{{graph="decoder",model="toy",version="3",outcome="ok"}} {calls}
vae_queue_rows{{graph="decoder",model="toy",version="3"}} 17
vae_executor_up{{graph="decoder",model="toy",version="3"}} 1
process_resident_memory_bytes 1048576
"""


class Metrics:
    """A server's metrics, which grow by 100 calls at every look, or fail."""

    def __init__(self) -> None:
        self.looks = 0
        self.away_at: set[int] = set()

    def answer(self) -> tuple[int, bytes]:
        self.looks += 1
        if self.looks in self.away_at:
            return 503, b""
        return 200, EXPOSITION.format(calls=100 * self.looks).encode()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def url(metrics: Metrics) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = metrics.answer()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


@pytest.fixture
def top(url: str) -> Callable[..., click.testing.Result]:
    return lambda *arguments: click.testing.CliRunner().invoke(
        cli.main, ["top", "--metrics", url, "--interval", "0.1", *map(str, arguments)]
    )


def test_once_is_a_table_with_rates(top):
    result = top("--once")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[1] == ["method", "calls/s", "failed/s", "p50", "ms", "p99", "ms", "failures"]
    assert rows[2][0] == "VaeService/Sample"
    assert 0 < float(rows[2][1]) < 10_000
    assert rows[4][:3] == ["toy/3", "decoder", "up"]
    assert 0 < float(rows[4][3]) < 10_000
    assert rows[4][5] == "17"


def test_json_is_one_line_a_look(top):
    first, second = map(json.loads, top("--json", "-n", 2).stdout.splitlines())
    assert first["methods"][0]["calls_per_second"] is None
    assert second["graphs"][0]["rows_per_second"] > 0
    assert second["graphs"][0]["queue_rows"] == 17
    once = json.loads(top("--json", "--once").stdout)
    assert once["methods"][0]["calls_per_second"] > 0


def test_a_server_that_is_away_is_said_and_waited_for(top, metrics: Metrics):
    metrics.away_at = {2}
    result = top("-n", 3)
    assert result.exit_code == 0, result.output
    first, away, back = result.stdout.strip().split("\n\n")
    assert "is away for 0 s: HTTP 503 Service Unavailable; trying again" in away
    assert "VaeService/Sample" in first
    assert "VaeService/Sample" in back
    metrics.looks, metrics.away_at = 0, {2}
    looks = [json.loads(line) for line in top("-n", 3, "--json").stdout.splitlines()]
    assert [look.get("problem") for look in looks] == [None, "HTTP 503 Service Unavailable", None]


def test_once_with_no_server_is_exit_code_1_and_one_line():
    result = click.testing.CliRunner().invoke(
        cli.main, ["top", "--once", "--interval", "0.1", "--metrics", "http://127.0.0.1:1/metrics"]
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: http://127.0.0.1:1/metrics: Connection refused\n"


def test_an_address_that_is_none_is_exit_code_2():
    result = click.testing.CliRunner().invoke(cli.main, ["top", "--metrics", "file:///etc/hostname"])
    assert result.exit_code == 2
    assert "--metrics must be an http:// or https:// address, got file:///etc/hostname" in result.stderr


class OnTerminal:
    """The program with a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "40"}
        self.process = subprocess.Popen([PROGRAM, *arguments], stdin=slave, stdout=slave, stderr=slave, env=env)
        os.close(slave)
        self.said = b""

    def read_until(self, wanted: bytes) -> None:
        while wanted not in self.said:
            ready, _, _ = select.select([self._master], [], [], 60)
            assert ready, self.said
            self.said += os.read(self._master, 1 << 16)

    def end(self, number: signal.Signals) -> int:
        """Its exit code after a signal; `said` is complete then."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        try:
            while more := os.read(self._master, 1 << 16):
                self.said += more
        except OSError:  # Linux: the other side is closed
            pass
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@contextmanager
def terminal(*arguments: str) -> Iterator[OnTerminal]:
    opened = OnTerminal(*arguments)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_terminal_is_left_as_it_was(url: str, number: signal.Signals, code: int):
    with terminal("top", "--metrics", url, "--interval", "0.1") as shown:
        shown.read_until(b"decoder")
        assert shown.end(number) == code
    assert SCREEN in shown.said
    assert BACK in shown.said.partition(SCREEN)[2]
    assert CURSOR in shown.said.partition(SCREEN)[2]
    assert b"Traceback" not in shown.said


def test_on_a_terminal_too_the_server_may_be_away_and_come_back(url: str, metrics: Metrics):
    metrics.away_at = {2, 3}
    with terminal("top", "--metrics", url, "--interval", "0.1", "--frames", "6") as shown:
        shown.read_until(BACK)
        assert shown.process.wait(60) == 0
    text = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", shown.said)
    before, gone, after = text.partition(b"HTTP 503")
    assert gone
    assert b"decoder" in before
    assert b"decoder" in after
