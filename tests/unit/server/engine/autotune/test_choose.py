"""Batch rows, executors and threads are chosen from measured rates."""

import numpy as np
import pytest

from server.core.model import Rate
from server.engine.autotune.choose import BATCH_ROWS, CALL_SECONDS, ExecutionOverrides, Setup, choose, helpers, setups

HEAVY, LIGHT = 400e-6, 6e-6  # seconds a row: a convolutional decoder, a small network


def curve(rows_per_second, *, executors=1, threads=1, sizes=BATCH_ROWS):
    return [Rate(rows, executors, threads, rows_per_second(rows)) for rows in sizes]


def chosen(*curves):
    best = choose([rate for rates in curves for rate in rates])
    return best.rows, best.executors, best.threads


@pytest.mark.parametrize(
    ("rows_per_second", "expected"),
    [
        pytest.param(lambda rows: rows / (1e-3 + 1e-6 * rows), 256, id="overhead dominates: the larger the better"),
        pytest.param(lambda rows: rows / (1e-4 + 1e-4 * rows), 128, id="convex: within 5 % of the last from 128 on"),
        pytest.param(lambda rows: 100.0, 1, id="flat: larger batches gain nothing"),
        pytest.param(lambda rows: 100.0 * min(rows, 8) / max(rows, 8) ** 0.5, 8, id="peaks at 8 rows"),
        pytest.param(lambda rows: 100.0 - rows, 1, id="falls from the first"),
        pytest.param(lambda rows: 5.0 if rows == 4 else 100.0, 1, id="one size was disturbed"),
    ],
)
def test_the_batch_is_the_smallest_within_five_percent_of_the_best(rows_per_second, expected):
    assert chosen(curve(rows_per_second)) == (expected, 1, 1)


def test_a_batch_of_a_light_graph_is_large_enough_to_pay_for_itself():
    flat_from_16 = curve(lambda rows: 60_000.0 * min(1, (rows + 8) / 24))
    assert chosen(flat_from_16)[0] == 256


def test_noise_of_three_percent_does_not_make_a_flat_curve_choose_large_batches():
    noise = np.random.default_rng(0)
    for _ in range(100):
        assert chosen(curve(lambda _: 10.0 * noise.uniform(0.97, 1.0)))[0] == 1


def test_executors_and_threads_that_measure_equal_become_executors():
    one = curve(lambda _: 100.0)
    two_executors = curve(lambda _: 190.0, executors=2)
    assert chosen(one, two_executors, curve(lambda _: 190.0, threads=2)) == (1, 2, 1)
    assert chosen(one, two_executors, curve(lambda _: 195.0, threads=2)) == (1, 2, 1)


def test_threads_that_are_clearly_faster_are_taken():
    one, two_executors = curve(lambda _: 10.0), curve(lambda _: 15.0, executors=2)
    assert chosen(one, two_executors, curve(lambda _: 19.0, threads=2)) == (1, 1, 2)


def test_threads_that_help_only_at_batch_64_are_taken_with_64_rows():
    threads = curve(lambda rows: 200.0 if rows >= 64 else 5.0, threads=2)
    assert chosen(curve(lambda _: 100.0), threads) == (64, 1, 2)


@pytest.mark.parametrize(("gain", "executors"), [(1.2, 1), (1.3, 2)])
def test_a_further_core_must_bring_a_quarter_of_the_first(gain, executors):
    assert chosen(curve(lambda _: 100.0), curve(lambda _: 100.0 * gain, executors=2)) == (1, executors, 1)


def test_of_two_cores_a_light_graph_leaves_one_to_the_transport_and_a_heavy_one_takes_both():
    assert setups(ExecutionOverrides(), cores=2, row_seconds=LIGHT) == []
    assert setups(ExecutionOverrides(), cores=2, row_seconds=HEAVY) == [Setup(2, 1), Setup(1, 2)]


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 8, 16, 64])
@pytest.mark.parametrize("row_seconds", [1e-7, LIGHT, HEAVY, 0.1])
def test_no_setup_holds_more_cores_than_there_are_or_starves_the_transport(cores, row_seconds):
    most = max([1, *(setup.cores for setup in setups(ExecutionOverrides(), cores=cores, row_seconds=row_seconds))])
    assert most <= (cores if row_seconds >= CALL_SECONDS else max(1, cores - 1))


def test_a_light_graph_gets_no_more_executors_than_a_transport_can_feed():
    assert max(setup.cores for setup in setups(ExecutionOverrides(), cores=64, row_seconds=LIGHT)) == 5


def test_what_the_operator_set_is_the_same_in_every_setup():
    assert {s.executors for s in setups(ExecutionOverrides(executors=2), cores=8, row_seconds=HEAVY)} == {2}
    assert {s.threads for s in setups(ExecutionOverrides(threads=2), cores=8, row_seconds=HEAVY)} == {2}
    assert setups(ExecutionOverrides(executors=3, threads=2), cores=8, row_seconds=HEAVY) == []


@pytest.mark.parametrize(
    ("way", "given", "cores", "expected"),
    [
        pytest.param(Setup(1, 1), ExecutionOverrides(), 2, 1, id="the transport's core is lent for full batches"),
        pytest.param(Setup(2, 1), ExecutionOverrides(), 2, 0, id="no core is left"),
        pytest.param(Setup(1, 2), ExecutionOverrides(), 4, 0, id="threads of a run are no executors"),
        pytest.param(Setup(1, 1), ExecutionOverrides(executors=1), 2, 0, id="what is set is taken"),
    ],
)
def test_there_is_a_helper_only_if_a_core_is_left(way, given, cores, expected):
    assert helpers(way, given, cores=cores) == expected
