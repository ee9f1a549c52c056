"""A loaded artifact's graphs run as set, by cached rates, or by rates measured now."""

from dataclasses import replace

import numpy as np
import pytest
from support.artifacts import write_artifact

from server import artifact
from server.core.model import Rate
from server.engine import engine
from server.engine.autotune import tune as tuning
from server.engine.autotune.cache import CalibrationCache
from server.engine.autotune.choose import ExecutionOverrides, choose

MEASURED = ExecutionOverrides()  # nothing is set


@pytest.fixture
def tune(tmp_path):
    """Tune the same small artifact as a server's start does; the cache outlives the call."""
    verified = artifact.read(write_artifact(tmp_path / "m" / "1"))

    def start(*, overrides=MEASURED, cores=1):
        loaded = engine.load(verified, threads=overrides.start.threads)
        memory = CalibrationCache(tmp_path / "cache", tell=pytest.fail)
        return tuning.tune(verified, loaded, overrides=overrides, cores=cores, cache=memory)

    return start


def test_the_second_start_measures_nothing_and_runs_as_the_first(tune, monkeypatch):
    first = {name: tuned.execution for name, tuned in tune().items()}
    monkeypatch.setattr(tuning, "measure_rates", pytest.fail)
    second = {name: tuned.execution for name, tuned in tune().items()}
    assert {execution.source for execution in first.values()} == {"measured"}
    assert second == {name: replace(execution, source="cached") for name, execution in first.items()}


def test_a_graph_runs_as_the_best_of_its_rates(tune):
    for tuned in tune().values():
        execution, best = tuned.execution, choose(tuned.execution.curve)
        assert (best.rows, best.executors, best.threads) == (
            execution.max_batch_rows, execution.executors, execution.threads,
        )  # fmt: skip
        assert execution.rows_per_second == best.rows_per_second


def test_other_settings_or_cores_are_measured_anew(tune):
    tune()
    assert tune(cores=2)["decoder"].execution.source == "measured"
    limited = tune(overrides=ExecutionOverrides(rows=8))["decoder"].execution
    assert (limited.source, limited.max_batch_rows) == ("measured", 8)


def test_settings_that_fix_everything_are_neither_measured_nor_kept(tune, monkeypatch):
    monkeypatch.setattr(tuning, "measure_rates", pytest.fail)
    monkeypatch.setattr(CalibrationCache, "keep", pytest.fail)
    execution = tune(overrides=ExecutionOverrides(rows=4, executors=3, threads=2))["encoder"].execution
    assert (execution.max_batch_rows, execution.executors, execution.threads) == (4, 3, 2)
    assert (execution.source, execution.curve, execution.rows_per_second) == ("given", (), None)


def test_the_graph_that_serves_has_the_threads_that_were_chosen(tune, monkeypatch):
    rates = (Rate(1, 1, 1, 1000.0), Rate(4, 1, 2, 2000.0))
    monkeypatch.setattr(tuning, "measure_rates", lambda *_, **__: rates)
    graph = tune(cores=2)["decoder"].graph
    assert graph.threads == 2
    assert len(graph(np.zeros((5, 3), np.float32))[0]) == 5


def test_threads_that_change_a_bit_of_a_row_are_not_chosen_however_fast(tune, monkeypatch):
    rates = (Rate(1, 1, 1, 1000.0), Rate(4, 1, 2, 2000.0))
    monkeypatch.setattr(tuning, "measure_rates", lambda *_, **__: rates)
    with_threads = engine.with_threads

    def careless(*arguments):
        graph = with_threads(*arguments)

        def run(rows):
            return tuple(np.nextafter(output, np.float32(9)) for output in graph(rows))

        return run

    monkeypatch.setattr(engine, "with_threads", careless)
    execution = tune(cores=2)["decoder"].execution
    assert (execution.max_batch_rows, execution.threads, execution.curve) == (1, 1, rates[:1])
