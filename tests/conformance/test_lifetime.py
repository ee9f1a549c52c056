"""Silent connections are pinged, and connections have a maximum age."""

import queue
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.http2 import http2
from support.messages import frame
from support.server import ServerProcess, server
from support.transports import TRANSPORTS

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

WATCH = "/grpc.health.v1.Health/Watch"


@pytest.fixture(scope="module", params=TRANSPORTS)
def shortlived(request, models: Path) -> Iterator[ServerProcess]:
    arguments = ["--transport", request.param, "--default-model", "tiny"]
    with server(models, *arguments, "--keepalive-seconds", "1", "--max-connection-age", "3") as process:
        yield process


def test_a_silent_connection_is_pinged(shortlived):
    with http2(shortlived.target) as connection:
        stream = connection.open(WATCH)
        connection.send(stream, frame(b""), end=True)
        connection.wait(lambda: connection.pings_heard >= 1)
        assert not connection.closed


def test_a_connection_at_its_maximum_age_takes_no_new_calls_and_finishes_its_old_ones(shortlived):
    states: queue.Queue[grpc.ChannelConnectivity] = queue.Queue()
    with grpc.insecure_channel(shortlived.target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        channel.subscribe(states.put)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        while states.get(timeout=20) is not grpc.ChannelConnectivity.READY:
            pass
        assert states.get(timeout=20) is grpc.ChannelConnectivity.IDLE  # the server took the connection's leave
        assert not watch.done()
        stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
        assert stub.Sample(pb.SampleRequest(count=1), timeout=20).items.shape[0] == 1  # on a new connection
        assert not watch.done()
        watch.cancel()
