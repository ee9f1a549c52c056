"""`make docs` builds without a warning, and its generated pages leave nothing out."""

import re
import subprocess
import sys
from dataclasses import fields
from html import unescape
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.monitoring import server_metrics

import vaeserve
from server.artifact import Manifest
from server.edge.status import Code
from server.settings import Settings
from training.config.config import Optimisation
from training.config.presets import PRESETS
from vaeserve.admin.v1 import admin_pb2
from vaeserve.v1 import vaeserve_pb2

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(find_spec("sphinx") is None, reason="sphinx is not installed (pip: the extra docs)"),
    pytest.mark.timeout(600),  # the build takes some ten seconds, and a minute on a machine that does five things
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "docs", str(out)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return out


def test_the_apis_page_has_every_rpc_message_field_and_value(site: Path) -> None:
    shown = words(site / "reference/api.html")
    for file in (vaeserve_pb2.DESCRIPTOR, admin_pb2.DESCRIPTOR):
        rpcs = {method.name for service in file.services_by_name.values() for method in service.methods}
        fields = {field.name for message in file.message_types_by_name.values() for field in message.fields}
        values = {value for enum in file.enum_types_by_name.values() for value in enum.values_by_name}
        assert (rpcs | fields | values | set(file.message_types_by_name)) - shown == set()


def test_the_pythons_page_has_everything_that_the_package_exports(site: Path) -> None:
    shown = re.findall(r'id="vaeserve\.(?:\w+\.)?(\w+)"', (site / "reference/python.html").read_text())
    assert set(vaeserve.__all__) - set(shown) == set()


def test_every_method_of_the_clients_is_shown_with_its_arguments(site: Path) -> None:
    page = (site / "reference/python.html").read_text()
    methods = {name for name in vars(vaeserve.Client) if not name.startswith("_")}
    for client in ("Client", "AsyncClient"):
        assert {name for name in methods if f'id="vaeserve.{client}.{name}"' not in page} == set()
    assert "importance_samples" in page


def test_the_programs_page_has_every_flag_of_the_server(site: Path) -> None:
    shown = words(site / "reference/programs.html")
    assert {name for name in Settings.__dataclass_fields__ if f"--{name.replace('_', '-')}" not in shown} == set()


def test_the_settings_page_has_every_setting_with_its_default_and_its_meaning(site: Path) -> None:
    rows = re.findall(r"<tr.*?</tr>", (site / "reference/settings.html").read_text(), re.DOTALL)
    cells = [[plain(cell) for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)] for row in rows]
    told = {flag: default for flag, default, _, meaning in filter(None, cells) if flag.startswith("--") and meaning}
    assert told == {f"--{setting.name.replace('_', '-')}": str(setting.default) for setting in fields(Settings)}


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("reference/metrics.html", set(server_metrics())),
        ("reference/status-codes.html", {code.name for code in Code}),
        ("reference/training.html", {setting.name for setting in fields(Optimisation)} | set(PRESETS)),
        ("reference/artifact.html", {key.name for key in fields(Manifest)}),
    ],
)
def test_a_table_made_from_the_code_is_on_its_page(page: str, told: set[str], site: Path) -> None:
    """What each says is test_generated's."""
    shown = re.findall(r'<code class="[^"]*"><span class="pre">([\w.-]+)</span></code>', (site / page).read_text())
    assert told - {word.partition(".")[0] for word in shown} == set()


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]*)"', page.read_text()) == [], page


def words(page: Path) -> set[str]:
    """The words of a page, as they are read."""
    return set(re.findall(r"[\w-]+", plain(page.read_text())))


def plain(html: str) -> str:
    """HTML without its tags."""
    return unescape(re.sub(r"<[^>]+>", " ", html)).strip()
