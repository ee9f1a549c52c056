"""HTTP/JSON for curl and browsers: with Envoy on gRPC's port, with grpcio on a separate port."""

import base64
import json
import re
import socket
import struct
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from support.http2 import http2
from support.messages import SAMPLE, frame, sample
from support.programs import needs
from support.server import ServerProcess, server
from support.transports import ENVOY_ONLY, NEEDS_ENVOY

from vaeserve.v1 import vaeserve_pb2 as pb

from .conftest import Serve, flags

WIDE = {"model": {"name": "wide"}}


@pytest.fixture(scope="module")
def with_web_port(models) -> Iterator[ServerProcess]:
    with server(models, *flags("grpcio"), "--web-port", "0") as process:
        yield process


@pytest.fixture
def site(request: pytest.FixtureRequest, transport: str, serve: Serve) -> tuple[ServerProcess, str]:
    """A server and where its HTTP port is."""
    process = serve("envoy") if transport == "envoy" else request.getfixturevalue("with_web_port")
    return process, process.web_target


def post(target: str, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    fields = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(f"http://{target}{path}", data=body, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@needs("curl")
def test_curl_gets_pictures_and_their_queue_and_run_times(site):
    _, target = site
    command = ["curl", "-sS", "-i", "-d", '{"count":4,"encoding":"PNG","seed":5}', f"http://{target}{SAMPLE}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("HTTP/1.1 200 OK\n")
    assert re.search(r"trailer-vae-queue-seconds: [\d.]+", said)
    assert len(json.loads(said.split("\n\n")[1])["png"]) == 4


def test_json_proto_and_grpc_give_the_same_rows(site):
    process, target = site
    with http2(process.target) as wire:
        wanted = pb.SampleResponse.FromString(wire.call(SAMPLE, frame(sample(count=3, seed=9))).body[5:])
    in_proto = post(target, SAMPLE, sample(count=3, seed=9), content_type="application/proto")[2]
    in_json = json.loads(post(target, SAMPLE, b'{"count": 3, "seed": 9}')[2])
    assert pb.SampleResponse.FromString(in_proto) == wanted
    assert base64.b64decode(in_json["items"]["data"]) == wanted.items.data


def test_what_grpc_refuses_json_refuses_in_the_same_words(site):
    process, target = site
    with http2(process.target) as wire:
        wanted = wire.call(SAMPLE, frame(sample(count=0)))
    status, _, body = post(target, SAMPLE, b'{"count": 0}')
    assert (wanted.grpc_status, status) == (3, 400)
    assert json.loads(body)["message"] == wanted.grpc_message


def test_calls_are_counted_as_those_of_grpc(site):
    process, target = site
    labels = {"grpc_method": "Sample", "grpc_code": "NOT_FOUND"}
    before = process.sum("grpc_server_handled_total", **labels)
    assert post(target, SAMPLE, b'{"count": 1, "model": {"name": "nobody"}}')[0] == 404
    assert process.sum("grpc_server_handled_total", **labels) == before + 1


def test_a_deadline_is_kept(site):
    _, target = site
    rows = json.dumps({**WIDE, "items": _items(256)}).encode()
    status, _, body = post(target, "/vaeserve.v1.VaeService/Encode", rows, connect_timeout_ms="1")
    assert (status, json.loads(body)["code"]) == (504, "deadline_exceeded")


def test_a_caller_who_leaves_cancels_its_call(site):
    process, target = site
    host, _, port = target.rpartition(":")
    labels = {"grpc_method": "Encode", "grpc_code": "CANCELLED"}
    before = process.sum("grpc_server_handled_total", **labels)
    body = json.dumps({**WIDE, "items": _items(2048)}).encode()
    head = f"POST /vaeserve.v1.VaeService/Encode HTTP/1.1\r\nhost: {target}\r\ncontent-type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        started = process.sum("grpc_server_started_total", grpc_method="Encode")
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        _until(lambda: process.sum("grpc_server_started_total", grpc_method="Encode") > started)
    _until(lambda: process.sum("grpc_server_handled_total", **labels) > before)


def test_the_page_is_there(site):
    _, target = site
    with urllib.request.urlopen(f"http://{target}/", timeout=30) as answer:  # a loopback address
        assert b"<title>vaeserve" in answer.read()
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_page_from_elsewhere_is_refused(site):
    _, target = site
    assert post(target, SAMPLE, b'{"count": 1}', origin="http://evil.example")[0] == 403
    assert post(target, SAMPLE, b'{"count": 1}', origin=f"http://{target}")[0] == 200


@ENVOY_ONLY
class TestOnEnvoysPort:
    def test_grpc_web_is_answered_with_its_trailers_in_the_body(self, site):
        _, target = site
        web = {"content_type": "application/grpc-web+proto", "x_grpc_web": "1"}
        status, headers, body = post(target, SAMPLE, frame(sample(count=2)), **web)
        assert (status, headers["content-type"]) == (200, "application/grpc-web+proto")
        size = struct.unpack(">I", body[1:5])[0]
        assert pb.SampleResponse.FromString(body[5 : 5 + size]).items.shape[0] == 2
        assert body[5 + size] == 0x80
        assert b"grpc-status:0" in body[5 + size :]
        assert b"vae-queue-seconds:" in body[5 + size :]

    def test_grpc_web_of_a_page_from_elsewhere_is_refused(self, site):
        _, target = site
        web = {"content_type": "application/grpc-web+proto", "x_grpc_web": "1", "origin": "http://evil.example"}
        assert post(target, SAMPLE, frame(sample()), **web)[0] == 403

    def test_a_rebound_name_is_not_the_servers_own_over_http2_either(self, site):
        process, _ = site
        with http2(process.target) as wire:
            headers = [("content-type", "application/json"), ("origin", "http://evil.example"), ("te", "")]
            assert wire.call(SAMPLE, b'{"count": 1}', headers=headers).http_status == 403


@NEEDS_ENVOY
def test_web_off_leaves_grpc_alone(models):
    with server(models, *flags("envoy"), "--web", "off") as process:
        with http2(process.target) as wire:
            assert wire.call(SAMPLE, frame(sample())).grpc_status == 0
            answer = wire.call(SAMPLE, b"{}", headers=[("content-type", "application/json")])
            assert answer.http_status == 415
        host, _, port = process.target.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert not connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


def _items(rows: int) -> dict[str, Any]:
    return {"dtype": "UINT8", "shape": [rows, 1, 4, 4], "data": base64.b64encode(bytes(rows * 16)).decode()}


def _until(happened: Any) -> None:
    pause = threading.Event()
    for _ in range(2000):
        if happened():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")
