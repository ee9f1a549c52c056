"""docker-compose.yml with deploy/compose/tls.yml: encrypted to the proxy, and from there to the server."""

from dataclasses import fields
from pathlib import Path

import grpc
import pytest
from support.waiting import SLOW_SECONDS, wait_until

from server.settings import Settings
from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytestmark = [
    pytest.mark.compose,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        "tls_certificate" not in {setting.name for setting in fields(Settings)}, reason="this server has no TLS"
    ),
]


def test_callers_who_trust_the_authority_are_served(encrypted) -> None:
    wait_until(lambda: encrypted.healthy_servers() == 1, seconds=SLOW_SECONDS)
    authority = (Path(encrypted.variables["TLS_FOLDER"]) / "ca.pem").read_bytes()
    target = f"localhost:{encrypted.variables['GRPC_PORT']}"
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(authority)) as channel:
        response = vaeserve_pb2_grpc.VaeServiceStub(channel).Sample(pb.SampleRequest(count=2), timeout=10)
    assert list(response.items.shape) == [2, 1, 28, 28]


def test_callers_without_encryption_are_not(encrypted) -> None:
    wait_until(lambda: encrypted.healthy_servers() == 1, seconds=SLOW_SECONDS)
    with grpc.insecure_channel(encrypted.target) as channel, pytest.raises(grpc.RpcError) as refused:
        vaeserve_pb2_grpc.VaeServiceStub(channel).Sample(pb.SampleRequest(count=2), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_health_check_shows_the_servers_own_certificate(encrypted) -> None:
    (server,) = encrypted.engine.containers("server")
    wait_until(lambda: encrypted.healthy_servers() == 1, seconds=SLOW_SECONDS)
    encrypted.engine.podman("healthcheck", "run", server)
