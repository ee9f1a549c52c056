"""The series of a version live as long as the version."""

import gc
import weakref

from prometheus_client import generate_latest

from server.core.events import JobRefused
from server.core.model import Entry
from server.telemetry.metrics import Metrics


def exposition(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


class Idle:
    """A queue with nothing in it."""

    alive, queued_rows, queued_bytes, running_rows = True, 0, 0, 0


def test_a_forgotten_version_leaves_no_series_and_removes_no_others():
    metrics = Metrics()
    for version in ("1", "2"):
        observe = metrics.batches(model="m", version=version, graph="decoder", padding=lambda rows: 0)
        metrics.watch_queue(Idle(), model="m", version=version, graph="decoder")
        metrics.refused(Entry("m", version, "failed", "why", None, is_default=False))
    metrics.forget("m", "1")
    text = exposition(metrics)
    assert 'version="1"' not in text
    assert 'vae_queue_rows{graph="decoder",model="m",version="2"} 0.0' in text
    assert 'vae_model_ready{model="m",version="2"} 0.0' in text
    observe(JobRefused(1, "rows"))
    metrics.forget("m", "2")
    assert 'version="2"' not in exposition(metrics)
    assert 'vae_model_loads_total{result="failed"} 2.0' in text


def test_a_forgotten_queue_is_freed_without_the_garbage_collector():
    metrics, queue = Metrics(), Idle()
    metrics.watch_queue(queue, model="m", version="1", graph="decoder")
    gone = weakref.ref(queue)
    gc.disable()
    try:
        metrics.forget("m", "1")
        del queue
        assert gone() is None
    finally:
        gc.enable()
