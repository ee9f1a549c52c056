"""The dashboard and the alerts, with a real Prometheus, Alertmanager and server."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.artifacts import write_artifact
from support.monitoring import ALERTMANAGER, alertmanager, prometheus, repeated, until, webhook
from support.server import server
from support.transports import TRANSPORTS

import vaeserve

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or ALERTMANAGER is None,
        reason="Prometheus or Alertmanager is not installed (Debian: apt install prometheus prometheus-alertmanager)",
    ),
]
DASHBOARD = Path(__file__).parents[2] / "deploy/grafana/dashboards/vaeserve.json"
TOLD_SECONDS = 60.0
FLAGS = ("--max-batch-rows", "8", "--executors", "1", "--threads", "1")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_artifact(tmp_path / "models" / "tiny" / "1")
    return tmp_path / "models"


@pytest.fixture
def items() -> np.ndarray:
    return np.random.default_rng(0).random((8, 1, 4, 4), np.float32)


def expressions() -> list[tuple[str, str]]:
    """Every panel's title and expression, as Grafana asks it with all models chosen."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())]
    return [(title, expr.replace("$__rate_interval", "10s").replace("$model", ".*")) for title, expr in asked]


def numbers(samples) -> list[float]:
    return [number for sample in samples if not math.isnan(number := float(sample["value"][1]))]


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_panel_shows_something_of_a_server_at_work(models, items, tmp_path, transport, workers):
    flags = (*FLAGS, "--transport", transport, "--workers", workers)
    with server(models, *flags) as process, vaeserve.Client(process.target, channels=4) as client:

        def work() -> None:
            client.reconstruct(items)
            client.sample(3)
            client.encode(items)
            with pytest.raises(vaeserve.InvalidInput):
                client.sample(0)

        with prometheus(process.metrics_target, tmp_path) as asked, repeated(work):
            empty = set(expressions())

            def all_shown() -> bool:
                nonlocal empty
                empty = {(title, expr) for title, expr in empty if not numbers(asked.ask(expr))}
                return not empty

            until(all_shown, seconds=TOLD_SECONDS, otherwise=lambda: f"empty: {empty}")
            assert [sample["value"][1] for sample in asked.ask("up")] == ["1"]
            assert asked.ask("scrape_samples_post_metric_relabeling > 100")


def at_once(rules: str) -> str:
    """Alerts that wait for nothing."""
    return re.sub(r"\bfor: \w+", "for: 0s", rules)


def test_a_server_that_is_killed_is_told_to_the_webhook_with_its_runbook(models, tmp_path):
    down = 'ALERTS{alertname="VaeserveDown", alertstate="firing"}'
    with (
        webhook() as (address, alerts),
        alertmanager(address, tmp_path) as manager,
        server(models, *FLAGS) as process,
        prometheus(process.metrics_target, tmp_path, alertmanager=manager, rules=at_once) as asked,
    ):
        # Until the first scrape there is no server, which is told too.
        until(lambda: numbers(asked.ask("up")) == [1.0], seconds=TOLD_SECONDS, otherwise=lambda: "never scraped")
        until(lambda: not asked.ask(down), seconds=TOLD_SECONDS, otherwise=lambda: "down while it was up")
        process.process.kill()
        told = alerts.get(timeout=TOLD_SECONDS)
        while told["labels"]["alertname"] != "VaeserveDown" or "instance" not in told["labels"]:
            told = alerts.get(timeout=TOLD_SECONDS)
    assert told["status"] == "firing"
    assert told["labels"]["instance"] == process.metrics_target
    assert told["annotations"]["runbook_url"] == "docs/how-to/alerts.md#vaeservedown"


def test_the_stability_index_is_that_of_the_rows_that_were_sent(models, items, tmp_path):
    index = 'model_version_latent_quantity:vae_drift:psi1h{quantity="reconstruction_nll", latent="mean"}'
    with (
        server(models, *FLAGS) as process,
        vaeserve.Client(process.target) as client,
        prometheus(process.metrics_target, tmp_path) as asked,
    ):
        until(lambda: numbers(asked.ask("vae_training_share")), seconds=TOLD_SECONDS, otherwise=lambda: "no shares")
        client.reconstruct(items)
        # The artifact says that held-out rows had -20..0 nats; a Bernoulli's rows have more than 0.
        shares = [0.01, 0.09, *[0.1] * 8, 0.09, 0.01]
        seen = [*[0.0001] * 11, 1.0]
        expected = sum((s - e) * math.log(s / e) for s, e in zip(seen, shares, strict=True))
        until(lambda: numbers(asked.ask(index)), seconds=TOLD_SECONDS, otherwise=lambda: "no index")
        assert numbers(asked.ask(index)) == [pytest.approx(expected)]
