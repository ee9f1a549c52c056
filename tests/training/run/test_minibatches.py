"""The rows and the noise of a step, and the schedules of learning rate, KL weight and average."""

import pytest
import torch

from training.config.config import Config, Optimisation
from training.randomness import generator
from training.run.hardware import Hardware
from training.run.minibatches import Minibatches, binarise
from training.run.schedule import average_decay, kl_weight, learning_rate


def batches(quick: Config, cpu: Hardware, rows: int = 300) -> Minibatches:
    # The value of a pixel is its row's number, twice removed from 0 and 255 by the Gaussian's grey values.
    return Minibatches(torch.arange(rows).remainder(256).byte().view(rows, 1, 1, 1), quick, cpu)


@pytest.fixture
def grey(quick: Config) -> Config:
    return Config.of({**quick.to_mapping(), "likelihood": "gaussian"})


def test_an_epoch_shows_every_row_at_most_once_and_in_another_order_each_time(grey: Config, cpu: Hardware) -> None:
    some = batches(grey, cpu, rows=256)
    assert some.per_epoch == 4
    epochs = [
        torch.cat([some.at(epoch * 4 + step, draws=1).x.flatten() for step in range(4)]).mul(255).round().int().tolist()
        for epoch in range(2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(256))
    assert epochs[0] != epochs[1]


def test_a_step_draws_the_same_whatever_came_before_it(quick: Config, cpu: Hardware) -> None:
    walked = batches(quick, cpu)
    for step in range(5):
        walked.at(step, draws=1)
    jumped = batches(quick, cpu)
    torch.rand(3)
    one, other = (some.at(5, draws=1) for some in (walked, jumped))
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.noise, other.noise)


def test_a_row_has_as_many_draws_as_are_asked_for(quick: Config, cpu: Hardware) -> None:
    several = batches(quick, cpu).at(0, draws=3)
    assert batches(quick, cpu).at(0, draws=1).noise.shape == (64, 1, 7)
    assert several.noise.shape == (64, 3, 7)
    assert several.noise.unique().numel() == several.noise.numel()


def test_a_batch_larger_than_the_data_is_the_data(quick: Config, cpu: Hardware) -> None:
    some = batches(quick, cpu, rows=50)
    assert (some.batch_size, some.per_epoch) == (50, 1)


def test_binarisation_is_fresh_each_time_and_right_on_average() -> None:
    rows = torch.tensor([0, 1, 100, 254, 255], dtype=torch.uint8).expand(20_000, 5).contiguous()
    seen = binarise(rows, generator(0, "step"))
    again = binarise(rows, generator(0, "step", 1))
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(seen, again)
    assert seen[:, 0].max() == 0
    assert seen[:, 4].min() == 1
    torch.testing.assert_close(seen.mean(0), rows[0].float() / 255, atol=0.015, rtol=0)


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    settings = Optimisation(learning_rate=1e-3, final_learning_rate=1e-5)
    rates = [learning_rate(settings, step=step, steps=101) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[50] == pytest.approx((1e-3 + 1e-5) / 2)
    assert rates[100] == pytest.approx(1e-5)
    assert rates == sorted(rates, reverse=True)


def test_the_kl_weight_rises_to_one_over_the_warm_up() -> None:
    settings = Optimisation(kl_warmup=0.1)
    weights = [kl_weight(settings, step=step, steps=100) for step in range(100)]
    assert 0 < weights[0] < weights[5] < weights[9] < 1
    assert weights[10:] == [1.0] * 90


def test_the_kl_weight_rises_to_beta_where_that_is_another() -> None:
    weights = [kl_weight(Optimisation(kl_warmup=0.1, beta=4.0), step=step, steps=100) for step in range(100)]
    assert 0 < weights[0] < weights[9] < 4
    assert weights[10:] == [4.0] * 90


def test_without_warm_up_the_kl_counts_from_the_first_step() -> None:
    assert kl_weight(Optimisation(kl_warmup=0.0), step=0, steps=100) == 1.0


def test_the_average_forgets_the_first_weights_soon() -> None:
    settings = Optimisation(average=0.999)
    assert average_decay(settings, step=0) == pytest.approx(0.1)
    assert average_decay(settings, step=100_000) == 0.999
