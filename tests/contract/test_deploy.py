"""What is deployed says the same as the code: images, compose files, rules, dashboard, and the pages for operators."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.monitoring import checked, promtool, server_metrics

from server.settings import NOT_OURS, PREFIX, Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
OVERRIDES = sorted((ROOT / "deploy/compose").glob("*.yml"))
PROMETHEUS = ROOT / "deploy/prometheus"
ALERTS = (ROOT / "docs/how-to/alerts.md").read_text()
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))


def test_compose_files_follow_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, COMPOSE, *OVERRIDES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_runs_as_a_fixed_user_that_is_not_root() -> None:
    users = [argument for keyword, argument in final_stage() if keyword == "USER"]
    assert [number for user in users for number in user.split(":")] == ["10001", "10001"]


def test_signals_reach_the_server_itself() -> None:
    assert json.loads(dict(final_stage())["ENTRYPOINT"]) == ["python3", "-m", "server"]
    assert dict(final_stage())["STOPSIGNAL"] == "SIGTERM"


def test_the_image_reports_its_health_and_never_phones_home() -> None:
    assert 'CMD ["vaeserve-health"]' in dict(final_stage())["HEALTHCHECK"]
    assert "ORT_DISABLE_TELEMETRY=1" in dict(final_stage())["ENV"]


def test_training_and_its_libraries_stay_out_of_the_image() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "vaeserve", "server", "exported"} == let_in
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert not [requirement for extra in ("cpu", "gpu") for requirement in extras[extra] if "torch" in requirement]


def test_the_image_sets_only_settings_that_exist() -> None:
    compose = [yaml(path)["services"]["server"].get("environment", {}) for path in (COMPOSE, *OVERRIDES)]
    named = set(re.findall(rf"\b({PREFIX}\w+)=", dict(final_stage())["ENV"]))
    named |= {name for environment in compose for name in environment if name.startswith(PREFIX)}
    assert set() == named - {PREFIX + setting.name.upper() for setting in fields(Settings)} - NOT_OURS


def test_no_service_may_write_its_root_or_gain_privileges() -> None:
    for name, service in yaml(COMPOSE)["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] not in ("", "0", "root"), name


def test_no_service_may_take_all_memory_or_processes() -> None:
    for name, service in yaml(COMPOSE)["services"].items():
        assert service["mem_limit"], name
        assert service["pids_limit"] > 0, name


def test_the_server_runs_as_the_images_user() -> None:
    assert yaml(COMPOSE)["services"]["server"]["user"] == dict(final_stage())["USER"]


def test_every_port_is_published_on_the_loopback_interface_only() -> None:
    ports = [port for service in yaml(COMPOSE)["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_is_written_down() -> None:
    assert "password" not in json.dumps(yaml(COMPOSE)["services"]).lower()


def test_images_of_others_are_pinned_to_a_version() -> None:
    images = [service["image"] for service in yaml(COMPOSE)["services"].values() if "build" not in service]
    assert images
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in images)


def test_a_machine_without_a_gpu_starts_everything() -> None:
    server = yaml(COMPOSE)["services"]["server"]
    assert server["environment"]["VAESERVE_DEVICE"] == "cpu"
    assert server["build"]["args"]["EXTRA"] == "cpu"
    assert not any("deploy" in service for service in yaml(COMPOSE)["services"].values())


def test_the_gpu_is_asked_for_in_its_override() -> None:
    server = yaml(ROOT / "deploy/compose/gpu.yml")["services"]["server"]
    assert server["environment"]["VAESERVE_DEVICE"] == "cuda"
    assert server["build"]["args"]["EXTRA"] == "gpu"
    assert server["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_a_stopped_server_has_the_time_that_its_drain_may_take() -> None:
    server = yaml(COMPOSE)["services"]["server"]
    delay = float(server["environment"]["VAESERVE_DRAIN_DELAY"])
    assert float(server["stop_grace_period"].removesuffix("s")) > delay + Settings().drain_seconds


def test_prometheus_scrapes_the_port_that_the_server_exposes() -> None:
    (job,) = [job for job in yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"] if job["job_name"] == "vaeserve"]
    assert job["dns_sd_configs"][0]["port"] == Settings().metrics_port
    assert job["dns_sd_configs"][0]["names"] == ["server"]


def test_prometheus_tells_the_alertmanager_that_compose_starts() -> None:
    (alertmanagers,) = yaml(PROMETHEUS / "prometheus.yml")["alerting"]["alertmanagers"]
    assert alertmanagers["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert "alertmanager" in yaml(COMPOSE)["services"]


def test_the_alertmanager_accepts_its_configuration() -> None:
    checked("amtool", "check-config", ROOT / "deploy/alertmanager/alertmanager.yml")


def test_operators_are_told_what_to_do_about_every_alert() -> None:
    runbooks = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules() if "alert" in rule}
    sections = re.findall(r"^### (Vaeserve\w+)$", section(ALERTS, "Alerts"), re.MULTILINE)
    # GitHub's anchor of a heading of letters is the heading in lower case.
    assert runbooks == {name: f"docs/how-to/alerts.md#{name.lower()}" for name in sections}
    for name in sections:
        text = section(ALERTS, "Alerts").partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert "**Do:**" in text, name


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = [test for path in sorted(PROMETHEUS.glob("*test*.yml")) for test in yaml(path)["tests"]]
    cases = [case for test in tests for case in test.get("alert_rule_test", ())]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    quiet = {case["alertname"] for case in cases if not case["exp_alerts"]}
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert alerts - fired == set()
    assert alerts - quiet == set()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_ask_only_for_metrics_that_there_are(path: Path) -> None:
    for expression in expressions(path):
        assert metrics_in(expression) | recorded_in(expression), expression
        assert set() == metrics_in(expression) - series() - {"up"}, expression
        assert set() == recorded_in(expression) - recorded(), expression


def test_rules_ask_only_for_metrics_that_there_are() -> None:
    for rule in rules():
        assert metrics_in(rule["expr"]) | recorded_in(rule["expr"]), rule
        assert set() == metrics_in(rule["expr"]) - series() - {"up"}, rule
        assert set() == recorded_in(rule["expr"]) - recorded(), rule


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_do_not_overlap_and_have_each_a_number(path: Path) -> None:
    panels = json.loads(path.read_text())["panels"]
    cells = [cell for panel in panels for cell in cells_of(panel["gridPos"])]
    assert len(cells) == len(set(cells))
    assert len(panels) == len({panel["id"] for panel in panels})


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_rules_compute_and_alert_as_their_tests_say() -> None:
    tests = sorted(PROMETHEUS.glob("*test*.yml"))
    assert tests
    promtool("test", "rules", *tests)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_prometheus_can_read_every_panel(path: Path, tmp_path: Path) -> None:
    as_rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(expressions(path))
    ]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": as_rules}]}))  # JSON is YAML
    promtool("check", "rules", file)


@cache
def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


@cache
def final_stage() -> tuple[tuple[str, str], ...]:
    """(instruction, argument) of the image's last stage, continued lines joined."""
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())).splitlines()
    instructions = [(keyword, argument) for keyword, _, argument in (line.partition(" ") for line in lines) if keyword]
    last = max(number for number, (keyword, _) in enumerate(instructions) if keyword == "FROM")
    return tuple(instructions[last:])


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml(PROMETHEUS / "rules.yml")["groups"] for rule in group["rules"]]


def expressions(dashboard: Path) -> list[str]:
    return [
        target["expr"] for panel in json.loads(dashboard.read_text())["panels"] for target in panel.get("targets", ())
    ]


def section(page: str, heading: str) -> str:
    """What a page says under a heading of the second level."""
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@cache
def series() -> frozenset[str]:
    """What a server and a supervisor expose, histograms by their series. The site tells of all (test_site)."""
    return frozenset(
        name + suffix
        for name, kind in server_metrics().items()
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    )


@cache
def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def recorded_in(expression: str) -> set[str]:
    return set(re.findall(r"[a-z_]+:\w+:\w+", expression))


def metrics_in(expression: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|(by|on) \([^)]*\)|[a-z_]+:\w+:\w+|\"[^\"]*\"", "", expression)
    words = {word for word in re.findall(r"[a-z_]\w*(?!\w*\()", bare) if "_" in word or word == "up"}
    return words - {"histogram_quantile", "group_left"}


def cells_of(position: dict[str, int]) -> list[tuple[int, int]]:
    across = range(position["x"], position["x"] + position["w"])
    down = range(position["y"], position["y"] + position["h"])
    return [(x, y) for x in across for y in down]
