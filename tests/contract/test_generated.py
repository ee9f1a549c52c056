"""The tables that the site makes from the code leave nothing out, and their commands print them."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from functools import cache
from importlib import import_module
from pathlib import Path
from unittest import mock

from support.monitoring import server_metrics

from server.artifact import Graph, Item, Likelihood, Manifest
from server.edge.error_status import CODES
from server.edge.status import Code
from server.edge.web.connect import HTTP_STATUS
from server.settings import Settings
from training.config.config import (
    Config,
    ConvArchitecture,
    FlowPrior,
    MlpArchitecture,
    Optimisation,
    TutorialArchitecture,
)
from training.config.presets import PRESETS

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"^\.venv/bin/python docs/_ext/generated\.py (.*)$", re.MULTILINE)
PAGES = {page: page.read_text() for page in sorted((ROOT / "docs/reference").glob("*.md"))}


def test_a_page_says_how_to_print_each_table_that_only_the_site_shows() -> None:
    tables = {mark for text in PAGES.values() for mark in re.findall(r"<!-- generated: (.*) -->", text)}
    printed = {what for text in PAGES.values() for what in COMMAND.findall(text)}
    # `--help` prints the settings of the server; a proto is its own text.
    assert {what for what in tables if what.split()[0] not in ("proto", "help")} - {"settings server"} == printed


def test_every_metric_has_its_type_and_a_meaning() -> None:
    told = {name: kind for name, kind, _, meaning in table("metrics", "server") if meaning}
    assert told == server_metrics()


def test_every_metric_of_a_graph_is_told_with_its_labels() -> None:
    labels = {name: labels for name, _, labels, _ in table("metrics", "server")}
    assert labels["vae_rejected_total"] == "`model`, `version`, `graph`, `reason`"
    assert labels["vae_kl_nats"] == "`model`, `version`, `latent`"


def test_every_status_code_has_its_http_code_and_when_it_comes() -> None:
    told = {(code, http) for code, http, when, _ in table("codes", "server") if when}
    assert told == {(code.name, str(HTTP_STATUS.get(code, 200))) for code in Code}


def test_every_error_of_the_domain_is_told_with_what_the_caller_can_do() -> None:
    remedies = [remedy for code, _, _, remedy in table("codes", "server") if Code[code] in CODES.values()]
    assert [remedy.partition(":")[0].strip("`") for remedy in remedies if remedy.partition(": ")[2]] == [
        error.__name__ for code in Code for error, its_code in CODES.items() if its_code is code
    ]


def test_every_setting_of_the_server_has_its_default_and_a_meaning() -> None:
    told = {flag: default.strip("`") for flag, default, _, meaning in table("settings", "server") if meaning}
    assert told == {f"--{setting.name.replace('_', '-')}": str(setting.default) for setting in fields(Settings)}


def test_every_setting_of_a_training_run_has_a_meaning() -> None:
    kinds = (Config, Optimisation, ConvArchitecture, MlpArchitecture, TutorialArchitecture, FlowPrior)
    elsewhere = {"preset", "optimisation", "architecture", "prior", "kind"}  # tables, and what chooses one
    told = [key for key, *_, meaning in table("settings", "training") if meaning]
    assert told == [setting.name for kind in kinds for setting in fields(kind) if setting.name not in elsewhere]


def test_a_training_setting_is_told_with_its_flag_default_and_words() -> None:
    rows = {row[0]: row[1:4] for row in table("settings", "training")}
    assert rows["learning_rate"] == ("`--lr`", "`0.001`", "")
    assert rows["bound"] == ("`--bound`", '`"elbo"`', "`elbo`, `iwae`, `dreg`")


def test_every_preset_has_a_purpose_and_its_settings() -> None:
    rows = {name: row for name, *row in table("presets", "training") if all(row)}
    assert list(rows) == list(PRESETS)
    assert rows["default"][0].startswith("Serving on a CPU")
    assert '`prior = "flow"`' in rows["default"][1]
    assert "`optimisation.importance_draws = 5`" in rows["default"][1]


def test_every_key_of_a_manifest_has_a_meaning() -> None:
    inside = {"item": Item, "likelihood": Likelihood}
    keys = {key.name for key in fields(Manifest)} - set(inside)
    keys |= {f"{name}.{key.name}" for name, kind in inside.items() for key in fields(kind)}
    keys |= {f"graphs.NAME.{key.name}" for key in fields(Graph)}
    assert {key for key, meaning in table("keys", "manifest") if meaning} == keys


def test_the_command_prints_a_table() -> None:
    command = [sys.executable, "docs/_ext/generated.py", "settings", "server"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout == generated("settings", "server") + "\n", done.stderr


@cache
def generated(kind: str, what: str) -> str:
    """A table in Markdown, made in this process: training's imports take seconds."""
    with mock.patch.object(sys, "path", [str(ROOT / "docs/_ext"), *sys.path]):
        return str(import_module("generated").text(kind, what))


def table(kind: str, what: str) -> list[tuple[str, ...]]:
    """The rows of all tables in a text, the names in the first column without their backquotes."""
    lines = [line for line in generated(kind, what).splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [(name.strip("`"), *others) for name, *others in rows]
