"""docker-compose.yml as it is, on an engine of its own: two servers behind the proxy, and what watches them.

Grafana's image cannot be made from packages and stays out; tests/contract and the dashboard's own tests look after it.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from ruamel.yaml import YAML
from support import images
from support.engine import Engine

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / ".compose-test/base.tar"
WITHOUT_GRAFANA = ("server", "envoy", "prometheus", "alertmanager")
PORTS = ("GRPC_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")


# The proxy's statistics as of now, from inside, where their port is.
STATISTICS = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9901/metrics').read().decode())"
HEALTHY = re.compile(r'^envoy_cluster_membership_healthy{envoy_cluster_name="servers"} (\d+)$', re.MULTILINE)


@dataclass(frozen=True)
class Stack:
    """What `docker compose up` started."""

    engine: Engine
    variables: dict[str, str]
    overrides: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.variables['GRPC_PORT']}"

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.variables[f'{service.upper()}_PORT']}"

    def query(self, expression: str) -> list[Any]:
        """What Prometheus answers now: a list of samples."""
        return _get(f"{self.url('prometheus')}/api/v1/query?{urlencode({'query': expression})}")["data"]["result"]

    def up_by_job(self) -> dict[str, int]:
        """How many targets of each job Prometheus could scrape."""
        return {s["metric"]["job"]: int(s["value"][1]) for s in self.query("sum by (job) (up)")}

    def healthy_servers(self) -> int:
        """How many servers the proxy sends calls to."""
        (proxy,) = self.engine.containers("envoy")
        found = HEALTHY.search(self.engine.podman("exec", proxy, "python3", "-c", STATISTICS))
        return int(found[1]) if found else 0

    def alerts(self) -> list[str]:
        return [alert["labels"]["alertname"] for alert in _get(f"{self.url('alertmanager')}/api/v2/alerts")]

    def up(self, *, servers: int) -> None:
        self.compose("up", "--detach", "--scale", f"server={servers}", *WITHOUT_GRAFANA)

    def compose(self, *arguments: str) -> str:
        files = [argument for file in ("docker-compose.yml", *self.overrides) for argument in ("--file", ROOT / file)]
        return self.engine.compose(*files, *arguments, variables=self.variables)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    images.install_engine()
    # The engine's paths go into sockets' names, which must be short.
    folder = Path(tempfile.mkdtemp(prefix="vaeserve-compose-", dir="/tmp"))
    try:
        with Engine(folder, project="vaeserve").serving() as engine:
            yield engine
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def image(engine, tmp_path_factory) -> str:
    """The server's image by the real Dockerfile, built as the compose file says."""
    images.make_base(engine, archive=ARCHIVE, context=tmp_path_factory.mktemp("base") / "context")
    arguments = ("--file", str(ROOT / "docker-compose.yml"), "build", "--build-arg", f"BASE={images.BASE}", "server")
    engine.compose(*arguments, variables={})
    return "vaeserve:cpu"


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """The checked-in model, and beside it a version whose decoder was cut off on the way."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "exported/mnist/1", folder / "mnist/1")
    shutil.copytree(ROOT / "exported/mnist/1", folder / "mnist/2")
    decoder = folder / "mnist/2/decoder.onnx"
    decoder.write_bytes(decoder.read_bytes()[:1000])
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture(scope="session")
def stand_ins(engine, image, tmp_path_factory) -> None:
    for service, of in YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"].items():
        if service in images.STAND_INS:
            context = tmp_path_factory.mktemp(service) / "context"
            images.make_stand_in(engine, service, image=of["image"], context=context)


@pytest.fixture(scope="module")
def stack(engine, stand_ins, models) -> Iterator[Stack]:
    stack = Stack(engine, {"MODELS": str(models), **free_ports()})
    try:
        stack.up(servers=2)
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "1")


@pytest.fixture(scope="module")
def encrypted(engine, stand_ins, models, tmp_path_factory) -> Iterator[Stack]:
    """A server and the proxy with deploy/compose/tls.yml; TLS_FOLDER has the authority's certificate, ca.pem."""
    folder = make_certificates(tmp_path_factory.mktemp("tls"))
    variables = {"MODELS": str(models), "TLS_FOLDER": str(folder), **free_ports()}
    stack = Stack(engine, variables, overrides=("deploy/compose/tls.yml",))
    try:
        stack.compose("up", "--detach", "server", "envoy")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "1")


def make_certificates(folder: Path) -> Path:
    """An authority and a certificate by it, with the names that docs/how-to/deploy.md gives."""
    (folder / "names").write_text("subjectAltName=DNS:server,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for command in (
        f"req -x509 {key} -days 1 -subj /CN=authority -keyout ca.key -out ca.pem",
        f"req {key} -subj /CN=vaeserve -keyout key.pem -out request.pem",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -days 1 -extfile names -out certificate.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, capture_output=True, check=True)
    os.chown(folder / "key.pem", 10001, 10001)
    return folder


def free_ports() -> dict[str, str]:
    """Values for the variables that name the compose file's ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = [str(listening.getsockname()[1]) for listening in sockets]
    for listening in sockets:
        listening.close()
    return dict(zip(PORTS, ports, strict=True))


def _get(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:  # the URL is ours
        return json.load(answer)
