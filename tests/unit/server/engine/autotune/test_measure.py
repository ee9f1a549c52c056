"""Rates are measured in bounded time; the tests use a fake clock and fake graphs."""

import numpy as np
import pytest

from server.engine.autotune.choose import BATCH_ROWS, ExecutionOverrides, Setup, choose
from server.engine.autotune.measure import SECONDS_FOR_SETUPS, SECONDS_FOR_SIZES, measure_rates

MEASURED = ExecutionOverrides()  # nothing is set


class Machine:
    """Runs batches in the time that a function gives, on its own clock; records what it ran."""

    def __init__(self, seconds_for, *, disturbed=lambda: 1.0):
        self.now = 0.0
        self.ran: list[tuple[Setup, int]] = []
        self._seconds_for = seconds_for
        self._disturbed = disturbed

    def run(self, setup: Setup, rows: int, runs: int) -> float:
        self.ran.append((setup, rows))
        worked = runs * self._seconds_for(setup, rows) * self._disturbed()
        self.now += worked
        return worked

    def measure(self, *, overrides=MEASURED, cores=1):
        return measure_rates(self.run, overrides, cores=cores, clock=lambda: self.now)


def scaling(*, executors=1.0, threads=1.0, row=400e-6, batch=50e-6):
    """Seconds of a batch if each extra executor or thread adds this part of a core; 1 is a whole core."""

    def seconds_for(setup, rows):
        slower = setup.executors / (1 + executors * (setup.executors - 1))
        return (batch + row * rows) * slower / (1 + threads * (setup.threads - 1))

    return seconds_for


@pytest.mark.parametrize(
    ("seconds_for", "rows"),
    [
        (lambda _, rows: 1e-3 + 1e-6 * rows, 256),
        (lambda _, rows: 1e-2 * rows, 1),
        (lambda _, rows: 1e-3 * (8 + rows if rows <= 8 else 3 * rows), 8),
    ],
)
def test_rates_are_those_of_the_graph(seconds_for, rows):
    rates = Machine(seconds_for).measure()
    assert choose(rates).rows == rows
    for rate in rates:
        assert rate.rows_per_second == pytest.approx(rate.rows / seconds_for(None, rate.rows))


def test_measuring_stops_after_two_sizes_that_are_no_better():
    machine = Machine(scaling(batch=0.0, row=4e-3))
    assert [rate.rows for rate in machine.measure()] == [1, 2, 4]


def test_sizes_are_measured_while_they_save_the_cost_of_batches():
    machine = Machine(scaling(batch=0.0, row=400e-6))
    assert [rate.rows for rate in machine.measure()] == [1, 2, 4, 8, 16, 32, 64]


def test_a_single_disturbed_size_does_not_end_the_measuring():
    disturbed_at_8 = Machine(lambda _, rows: (1e-3 + 1e-6 * rows) * (10 if rows == 8 else 1))
    assert choose(disturbed_at_8.measure()).rows == 256


def test_bursts_of_noise_do_not_change_the_choice():
    noise = np.random.default_rng(0)

    def disturbed() -> float:
        return noise.choice([1.0, 1.02, 3.0], p=[0.5, 0.3, 0.2])

    for _ in range(20):
        machine = Machine(scaling(threads=0.3, row=10e-3, batch=0.0), disturbed=disturbed)
        best = choose(machine.measure(cores=2))
        assert (best.rows, best.executors, best.threads) == (1, 2, 1)


@pytest.mark.parametrize(
    ("seconds_for", "setup"),
    [
        (scaling(executors=0.9, threads=0.9), (2, 1)),
        (scaling(executors=0.1, threads=0.9), (1, 2)),
        (scaling(executors=0.1, threads=0.1), (1, 1)),
    ],
)
def test_a_heavy_graph_gets_the_setup_that_scales(seconds_for, setup):
    best = choose(Machine(seconds_for).measure(cores=2))
    assert (best.executors, best.threads) == setup


def test_on_one_core_only_sizes_are_measured():
    machine = Machine(scaling())
    machine.measure(cores=1)
    assert {setup for setup, _ in machine.ran} == {Setup(1, 1)}


@pytest.mark.parametrize("row", [1e-6, 1e-4, 3e-3])
def test_the_time_is_bounded_on_many_cores(row):
    machine = Machine(scaling(row=row))
    machine.measure(cores=16)
    longest_size = 12 * row * BATCH_ROWS[-1]  # the last size begun is measured to its end
    assert machine.now < 4 * SECONDS_FOR_SIZES + SECONDS_FOR_SETUPS + longest_size


def test_what_the_operator_set_is_not_measured():
    machine = Machine(scaling())
    machine.measure(overrides=ExecutionOverrides(rows=32, executors=3), cores=2)
    assert set(machine.ran) == {(Setup(3, 1), 32)}
