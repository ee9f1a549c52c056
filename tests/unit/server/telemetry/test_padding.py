"""Rows that fill a batch up to a fixed size are counted, and only those."""

from server.core.events import BatchDone
from server.telemetry.metrics import Metrics

LABELS = {"model": "m", "version": "1", "graph": "decoder"}


def test_rows_run_beside_a_batch_are_counted_as_padding():
    metrics = Metrics()
    observe = metrics.batches(**LABELS, padding=lambda rows: 8 - rows)
    for rows in (5, 8, 7):
        observe(BatchDone(rows=rows, failed_rows=0, reason="idle", run_seconds=0.001, queue_seconds=()))
    assert metrics.registry.get_sample_value("vae_padding_rows_total", LABELS) == 4.0
    assert metrics.registry.get_sample_value("vae_rows_total", {**LABELS, "outcome": "ok"}) == 20.0
