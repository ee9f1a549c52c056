"""`vaeserve bench`, against a real gRPC server in this process."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import click.testing
import grpc
import numpy as np
import pytest
from PIL import Image
from support.fake_service import Failure, FakeService

from vaeserve import cli
from vaeserve.cli import curve
from vaeserve.load.histogram import Histogram

Run = Callable[..., click.testing.Result]
VARIED = importlib.import_module("vaeserve.cli.bench").VARIED  # the package calls the command by the module's name
HEADS = "method rows calls/s rows/s p50 ms p90 ms p99 ms p99.9 ms max ms errors"
SHORT = ("--seconds", 0.2, "--warm-up", 0)


@pytest.fixture
def run(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAESERVE_TARGET", target)
    return lambda *arguments: click.testing.CliRunner().invoke(cli.main, ["bench", *map(str, arguments)])


def test_every_method_named_is_a_line_of_the_table_and_a_curve(run: Run):
    result = run("sample", "encode", "reconstruct", "--rows", 4, *SHORT)
    assert result.exit_code == 0, result.output
    heads, *lines = result.stdout.splitlines()[:4]
    summary = result.stdout.splitlines()[-1]
    assert " ".join(heads.split()) == HEADS
    assert [line.split()[:2] for line in lines] == [["sample", "4"], ["encode", "4"], ["reconstruct", "4"]]
    assert summary == "toy/3 -> latency.png"
    with Image.open("latency.png") as picture:
        assert picture.size == curve.SIZE
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 16)}
    assert {tuple(bytes.fromhex(colour[1:])) for colour in curve.COLOURS} <= colours


def test_calls_differ_and_have_the_rows_asked_for(run: Run, service: FakeService):
    assert run("sample", "encode", "--rows", 4, *SHORT).exit_code == 0
    _model, first, *calls = service.requests
    samples = [call for call in calls if hasattr(call, "count")]
    encodes = [call for call in calls if hasattr(call, "items")]
    assert first.count == 4 * VARIED
    assert {call.count for call in samples} == {4}
    assert len({call.seed for call in samples}) == len(samples)
    assert {tuple(call.items.shape) for call in encodes} == {(4, 1, 2, 3)}
    assert len({call.items.data for call in encodes}) == min(VARIED, len(encodes))
    assert {call.model.version for call in calls} == {"3"}, "all of one version"


def test_scripts_get_json(run: Run):
    result = run("--rate", 50, "--callers", 3, "--rows", 2, "--json", *SHORT)
    report = json.loads(result.stdout)
    assert (report["loop"], report["rate"], report["callers"], report["out"]) == ("open", 50.0, 3, "latency.png")
    assert report["model"]["name"] == "toy"
    (of,) = report["runs"]
    assert (of["method"], of["rows"], of["answered"] + of["not_begun"], of["errors"]) == ("sample", 2, 10, {})
    assert of["rows_per_second"] == pytest.approx(2 * of["calls_per_second"])
    assert 0 < of["latency_ms"]["p50"] <= of["latency_ms"]["p99.9"] <= of["latency_ms"]["max"]


def test_connections_are_as_many_as_asked_for(run: Run, service: FakeService):
    assert run("--channels", 3, *SHORT).exit_code == 0
    assert len(set(service.callers)) == 3


def test_refusals_are_counted_by_code_with_their_words(run: Run, service: FakeService):
    refuse_after(service, calls=4, code=grpc.StatusCode.INTERNAL, message="internal error; id 12")
    result = run("--callers", 1, *SHORT)
    assert result.exit_code == 0, result.output
    assert "INTERNAL, the first: internal error; id 12" in result.stdout
    assert int(result.stdout.splitlines()[1].split()[-1]) > 0


def test_a_server_that_answers_nothing_is_exit_code_1_and_still_reported(run: Run, service: FakeService):
    refuse_after(service, calls=2, code=grpc.StatusCode.INTERNAL, message="internal error; id 12")
    result = run("--json", *SHORT)
    assert (result.exit_code, result.stderr) == (1, "Error: not one call was answered\n")
    (of,) = json.loads(result.stdout)["runs"]
    assert (of["answered"], of["latency_ms"]["p50"]) == (0, None)
    assert Path("latency.png").exists()


def test_more_rows_than_a_call_may_hold_are_refused_before_the_run(run: Run, service: FakeService):
    service.max_request_rows = 8
    result = run("--rows", 9)
    assert result.exit_code == 2
    assert "--rows: toy/3 takes 1..8 rows a call, got 9" in result.stderr
    assert not Path("latency.png").exists()


def test_ctrl_c_is_exit_code_130(run: Run, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vaeserve.load.caller.run", interrupted)
    assert run().exit_code == 130


def test_a_curve_rises_to_its_slowest_call_and_ends_where_its_calls_do():
    few, many = Histogram(), Histogram()
    for milliseconds in range(1, 11):
        few.add(milliseconds / 1000)
    for milliseconds in range(1, 1001):
        many.add(milliseconds / 1000)
    pixels = np.asarray(curve.draw({"few": few, "many": many}, title="t"))
    first, second = (tuple(bytes.fromhex(colour[1:])) for colour in curve.COLOURS[:2])
    below_legend = pixels[curve.TOP + 60 :]
    rightmost = [np.nonzero((below_legend == colour).all(axis=2))[1].max() for colour in (first, second)]
    assert rightmost[0] == pytest.approx(curve.LEFT + (curve.RIGHT - curve.LEFT) / 3, abs=4)
    assert (pixels[curve.TOP : curve.TOP + 4, -60:] == second).all(axis=2).any(), "1000 ms is the top of the plot"


def refuse_after(service: FakeService, *, calls: int, code: grpc.StatusCode, message: str) -> None:
    """Answer so many calls, and end all later ones with this status."""

    class Failing(list):
        def __bool__(self) -> bool:
            return len(service.requests) > calls

        def pop(self, _index: int = -1) -> Failure:
            return Failure(code, message)

    service.failures = Failing()
