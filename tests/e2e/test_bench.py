"""The load generator counts and times what happens, and `make bench` runs through."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from bench.generator import CannotBuild, Generator, build

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
METHOD = "/test.Service/Method"
PERIOD = 0.05  # seconds that a slow answer takes


@pytest.fixture(scope="module")
def generator() -> Generator:
    try:
        return Generator(build())
    except CannotBuild as problem:
        pytest.skip(str(problem))


@contextmanager
def serving(answer) -> Iterator[str]:
    """The target of a server that gives bytes to `answer` and its result back."""
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Service", {"Method": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def refuse_rubbish(request: bytes, context: grpc.ServicerContext) -> bytes:
    if request == b"rubbish":
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "that is rubbish")
    return request


def test_every_call_is_counted_by_its_status_and_the_good_ones_apart(generator):
    with serving(refuse_rubbish) as target:
        good, bad = generator.run(
            target, METHOD, callers=8, seconds=1, warm_up=0, payloads=[b"a", b"b"], rubbish=b"rubbish", calls=700
        )
    assert good.codes == {"OK": 700}
    assert bad is not None
    assert set(bad.codes) == {"INVALID_ARGUMENT"}
    assert bad.messages == {"INVALID_ARGUMENT": "that is rubbish"}
    assert bad.calls_per_second == 0


def test_payloads_are_sent_in_turn_by_at_most_so_many_callers(generator):
    seen: list[bytes] = []
    lock, open_calls, most = threading.Lock(), 0, 0

    def answer(request: bytes, _context: grpc.ServicerContext) -> bytes:
        nonlocal open_calls, most
        with lock:
            open_calls += 1
            most = max(most, open_calls)
            seen.append(request)
        threading.Event().wait(0.002)
        with lock:
            open_calls -= 1
        return b""

    with serving(answer) as target:
        good, _ = generator.run(target, METHOD, callers=3, seconds=1, warm_up=0, payloads=[b"a", b"b"], calls=60)
    assert good.codes == {"OK": 60}
    assert (seen.count(b"a"), seen.count(b"b")) == (30, 30)
    assert most <= 3


def test_an_open_loop_counts_latency_from_the_moment_a_call_was_due(generator):
    """One caller, answers after 50 ms, a call due every 10 ms: call 40 begins 1.6 s late, and its latency says so."""

    def slowly(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        threading.Event().wait(PERIOD)
        return b""

    with serving(slowly) as target:
        facts = asked(generator, target, "--rate", "100", "--calls", "40")
    assert facts["codes"] == {"OK": 40}
    assert facts["max_ms"] >= 39 * (1e3 * PERIOD - 10)


def test_a_call_has_its_deadline(generator):
    def too_slowly(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        threading.Event().wait(PERIOD)
        return b""

    with serving(too_slowly) as target:
        facts = asked(generator, target, "--deadline-ms", "10")
    assert facts["codes"] == {"DEADLINE_EXCEEDED": 2}


def test_a_call_carries_metadata(generator):
    heard: list[str] = []

    def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
        heard.extend(value for key, value in context.invocation_metadata() if key == "who")
        return b""

    with serving(answer) as target:
        assert asked(generator, target, "--metadata", "who=me")["codes"] == {"OK": 2}
    assert heard == ["me", "me"]


def asked(generator: Generator, target: str, *flags: str) -> dict[str, Any]:
    """What the generator says of two calls, unless flags say otherwise."""
    command = [generator.program, "--target", target, "--method", METHOD, "--calls", "2", "--warm-up", "0", *flags]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["good"]


def test_a_smoke_run_of_the_benchmark_prints_its_tables(generator, tmp_path):
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "bench.serve", "--quick", "--json", report]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| Sample n=1 c=16 |" in done.stdout
    (model,) = json.loads(report.read_text())["models"]
    assert model["cells"][0]["rounds"][0]["good"]["codes"]["OK"] > 0
    assert model["rubbish"]["counted"][0]["good"]["codes"] == {"OK": 700}
