"""Readiness sends one row through every version that takes calls, and reuses the answer for a second."""

import threading

import numpy as np
import pytest

from server.app.readiness import ANSWER_SECONDS, GOOD_FOR_SECONDS, Readiness
from server.catalog.catalog import LoadedVersion
from server.core.batching.batcher import Batcher
from server.core.batching.job import Job
from server.core.batching.scheduler import Scheduler
from server.core.call import Call
from server.core.likelihood import Bernoulli
from server.core.model import Model
from server.core.spec import Spec
from server.core.vae.vae import Vae
from server.errors import QueueFull

SPEC = Spec(
    digest="d", embedding_space="e", item_shape=(2,), value_range=None, latent_size=2, likelihood=Bernoulli(),
    learned_prior=False, sampling_version=1, metrics={}, elbo_percentiles={}, nll_percentiles={}, kl_percentiles={},
)  # fmt: skip


class Deployed:
    """Versions whose decoders run only when a test lets them; the part of Models that readiness uses."""

    def __init__(self, *decoders) -> None:
        self.delivered = []
        self.alarms = []
        self.now = 0.0
        self._held = []
        self.batchers = []
        for decode in decoders:
            scheduler = Scheduler(max_batch_rows=4, max_queued_rows=1, max_queued_bytes=1)
            batcher = Batcher(decode, scheduler=scheduler, clock=lambda: self.now)
            self.batchers.append(batcher)
            model = Model("m", "1", SPEC, Vae(SPEC, {"decoder": batcher}), {})
            self._held.append(LoadedVersion(model, [batcher], clock=lambda: self.now))
        self.readiness = Readiness(
            self, later=lambda seconds, alarm: self.alarms.append((seconds, alarm)), clock=lambda: self.now
        )

    def serving(self, name: str):
        return self._held

    def close(self) -> None:
        for held in self._held:
            held.close()


class Decoder:
    """Counts its runs."""

    def __init__(self, *, fails: bool = False) -> None:
        self.runs = 0
        self.fails = fails

    def __call__(self, rows):
        self.runs += 1
        if self.fails:
            raise RuntimeError("broken")
        return (np.zeros((len(rows), 2), np.float32),)


@pytest.fixture
def deploy():
    deployed = []

    def make(*decoders) -> Deployed:
        deployed.append(Deployed(*decoders))
        return deployed[-1]

    yield make
    for one in deployed:
        one.close()


def test_a_row_is_run_and_its_answer_is_good_for_a_second(deploy):
    decoder = Decoder()
    deployed = deploy(decoder)
    assert deployed.readiness.ask("m").wait(30) is True
    deployed.now = GOOD_FOR_SECONDS - 0.01
    decoder.fails = True
    assert deployed.readiness.ask("m").wait(30) is True
    assert decoder.runs == 1
    deployed.now = GOOD_FOR_SECONDS
    assert deployed.readiness.ask("m").wait(30) is False
    decoder.fails = False
    deployed.now = 2 * GOOD_FOR_SECONDS
    assert deployed.readiness.ask("m").wait(30) is True


def test_one_version_that_fails_makes_the_server_not_ready(deploy):
    assert deploy(Decoder(), Decoder(fails=True)).readiness.ask().wait(30) is False


def test_a_server_without_serving_versions_is_not_ready(deploy):
    assert deploy().readiness.ask("m").wait(30) is False


def test_an_executor_that_hangs_is_given_up_and_askers_share_one_row(deploy):
    let_go = threading.Event()

    def hang(rows):
        let_go.wait(60)
        return (np.zeros((len(rows), 2), np.float32),)

    deployed = deploy(hang)
    first, second = deployed.readiness.ask("m"), deployed.readiness.ask("m")
    second.cancel()
    assert not first.done
    ((seconds, alarm),) = deployed.alarms
    assert seconds == ANSWER_SECONDS
    alarm()
    assert first.wait(30) is False
    let_go.set()


def test_a_full_queue_accepts_the_row_of_a_readiness_probe():
    scheduler = Scheduler(max_batch_rows=4, max_queued_rows=1, max_queued_bytes=1000)
    row = np.zeros((1, 2), np.float32)
    scheduler.admit(Job(row, Call(10.0), submitted=0.0), now=0.0)
    with pytest.raises(QueueFull):
        scheduler.admit(Job(row, Call(10.0), submitted=0.0), now=0.0)
    assert scheduler.admit(Job(row, Call(10.0, is_probe=True), submitted=0.0), now=0.0) == []
