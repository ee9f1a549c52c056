"""The serving benchmark's arithmetic and tables, from invented figures."""

import pytest

from bench import cells, options, report, targets
from bench.cells import Cell
from bench.generator import Load
from bench.measure import Measurement
from bench.peers import comparison
from bench.peers.comparison import ContestantResult
from bench.raw import Rate, Way
from bench.results import CellResult, ModelResult, RawResult
from bench.rubbish import RubbishResult
from bench.spread import Spread
from bench.targets import Target

ONE, BOTH = Way(sessions=1, threads=1), Way(sessions=2, threads=1)


def measured(rate: float, *, p50: float = 1.0, codes: dict[str, int] | None = None, pss: float = 100.0) -> Measurement:
    load = Load(
        calls_per_second=rate,
        p50_ms=p50,
        p90_ms=2.0,
        p99_ms=3.0,
        p999_ms=4.0,
        max_ms=5.0,
        longest_gap_ms=6.0,
        response_mb_per_second=7.0,
        codes=codes or {"OK": 700},
        codes_outside={"OK": 9, "UNAVAILABLE": 1},
        messages={},
    )
    return Measurement(load, None, pss_mib=pss, others=0.01)


def cell_result(cell_id: str, *rates: float, p50: float = 1.0) -> CellResult:
    (cell,) = cells.parse(cell_id)
    return CellResult(cell, tuple(measured(rate, p50=p50) for rate in rates))


def rubbish(clean: float, mixed: float, *, answered: int = 700) -> RubbishResult:
    return RubbishResult((measured(1.0, codes={"OK": answered}),), (measured(clean),), (measured(mixed),))


def model_result(model: str, *results: CellResult) -> ModelResult:
    rates = [Rate(operation, ONE, 64, 1000.0) for operation in cells.OPERATIONS]
    rates += [Rate(operation, BOTH, 64, 2000.0) for operation in cells.OPERATIONS]
    return ModelResult(
        model=model,
        cells=results,
        no_op=(measured(10000.0),),
        raw=RawResult(tuple(rates)),
        rubbish=rubbish(800.0, 630.0),
        first_start_seconds=2.0,
        start_seconds=(1.0, 1.25),
    )


def test_a_spread_is_the_median_with_the_least_and_the_greatest():
    assert Spread.of([3.0, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0)
    assert Spread.of([3.0, 1.0, 8.0]).show(1) == "3.0 (1.0-8.0)"
    assert Spread.of([1234.0]).show() == "1,234"
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])


def test_a_cell_has_an_id_that_reads_back():
    assert all(cells.parse(cell.id) == (cell,) for cell in cells.ALL)
    assert str(Cell("Sample", 16, 8)) == "Sample n=16 c=8"


@pytest.mark.parametrize("text", ["", "sample", "sample-1", "dance-1-1", "sample-0-1", "sample-1--1", "sample-1-1,"])
def test_what_is_no_cell_is_refused(text):
    with pytest.raises(ValueError, match="is no cell"):
        cells.parse(text)


def test_a_table_is_markdown():
    expected = "| a | b |\n| :-- | --: |\n| x | 1 |\n"
    assert report.table(("a", "b"), [("x", "1")]) == expected


def test_a_cell_counts_what_failed_inside_and_outside_the_window():
    cell = CellResult(Cell("Sample", 16, 8), (measured(10.0, codes={"OK": 5, "INTERNAL": 2}), measured(20.0)))
    assert cell.failed == 2 + 1 + 1
    assert cell.rows_per_second == 15.0 * 16


def test_raw_is_the_best_way_and_batch():
    raw = model_result("mlp").raw
    assert raw.best("Sample") == 2000.0
    assert raw.best("Sample", [ONE]) == 1000.0


def test_the_rate_beside_rubbish_is_that_of_one_good_caller():
    assert rubbish(800.0, 630.0).kept == pytest.approx(0.9)


def test_targets_compare_with_what_was_measured_beside_them():
    results = [
        model_result("mlp", cell_result("sample-1-64", 6000.0), cell_result("sample-1-1", 1.0)),
        model_result("default", cell_result("encode-256-8", 6.25)),
        model_result("seed", cell_result("sample-16-8", 100.0), cell_result("sample-1-64", 1500.0)),
    ]
    found = {target.name: (target.value, target.reached) for target in targets.of(results)}
    assert found["mlp: Sample n=1 c=64 / the transport's no-op"] == (0.6, True)
    assert found["default: Encode n=256 c=8 / raw onnxruntime"] == (0.8, True)
    assert found["seed: Sample n=16 c=8 / raw, a session for each core"] == (0.8, False)
    assert found["seed: Sample n=1 c=64 / raw, a session for each core"] == (0.75, True)
    assert found["seed: seconds from start to first answer"] == (1.25, True)
    assert found["seed: good calls answered beside rubbish"] == (700, True)
    assert not any("c=1 " in name for name in found)


def test_a_report_of_a_model_shows_its_ratios(monkeypatch):
    monkeypatch.setattr("bench.raw.ways", lambda: (ONE, BOTH))
    monkeypatch.setattr("bench.raw.BATCH_ROWS", (64,))
    monkeypatch.setattr("bench.report.BATCH_ROWS", (64,))
    text = report.model(model_result("mlp", cell_result("sample-16-8", 100.0, 50.0, 150.0)))
    assert "| Sample n=16 c=8 | 100 (50-150) | 1,600 | 1.00 | 3.00 | 0.80 | 0.01 | 3 |" in text
    assert "| Sample | 64 | 1,000 | 2,000 |" in text
    assert "first time 2.00 s, then 1.12 (1.00-1.25) s" in text
    assert "believe none" not in text


def test_a_target_may_be_a_least_or_a_most():
    assert Target("", 1.0, 1.0).reached
    assert Target("", 1.0, 1.0, at_least=False).reached
    assert not Target("", 1.1, 1.0, at_least=False).reached
    assert not Target("", float("nan"), 1.0).reached


def test_peers_are_compared_by_rate_and_a_lone_caller_by_latency():
    def contestant(name: str, rate: float, p50: float) -> ContestantResult:
        rates = (cell_result("sample-1-64", rate), cell_result("sample-1-1", rate, p50=p50))
        return ContestantResult(name, rates, rubbish(80.0, 70.0), (1.0,))

    ours, theirs = contestant("ours", 450.0, 0.5), contestant("PyTriton", 100.0, 2.0)
    found = {target.name: (target.value, target.reached) for target in comparison.bounds(ours, [theirs])}
    assert found["Sample n=1 c=64: ours / PyTriton"] == (4.5, True)
    assert found["Sample n=1 c=1, p50: ours / PyTriton"] == (0.25, True)
    text = comparison.report([ours, theirs])
    assert "| Sample n=1 c=64 | calls/s | 4.50 |" in text
    assert "| Sample n=1 c=1 | p50 | 0.25 |" in text


def test_what_follows_two_dashes_is_for_the_server():
    assert options.split(["--quick", "--", "--executors", "2"]) == (["--quick"], ("--executors", "2"))
    assert options.split(["--quick"]) == (["--quick"], ())


def test_options_extend_a_smoke_run():
    quick = options.serving(["--quick", "--cells", "encode-1-1"], description=None)
    assert (quick.models, quick.rounds, quick.cells) == (("mlp",), 1, (Cell("Encode", 1, 1),))


def test_peers_are_not_asked_to_reconstruct(capsys):
    with pytest.raises(SystemExit):
        options.comparison(["--cells", "reconstruct-1-1"], description=None, default=comparison.CELLS)
    assert "the peers do not reconstruct" in capsys.readouterr().err
