"""Connections: pings, many calls at once, and bytes that are not HTTP/2."""

import socket

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.http2 import http2
from support.messages import SAMPLE, frame, sample

WATCH = "/grpc.health.v1.Health/Watch"


def test_pings_are_answered_while_a_call_is_silent(wire):
    stream = wire.open(WATCH)
    wire.send(stream, frame(b""), end=True)
    wire.wait(lambda: bool(wire.answers[stream].body))
    for _ in range(3):
        wire.pong()
    assert not wire.answers[stream].ended
    assert not wire.closed


def test_a_thousand_calls_at_once_on_one_connection_are_all_answered(channel):
    health = health_pb2_grpc.HealthStub(channel)
    held = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(200)]
    calls = [health.Check.future(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(1000)]
    assert {call.code() for call in calls} == {grpc.StatusCode.OK}
    for watch in held:
        watch.cancel()


def test_calls_that_share_a_connection_are_not_mixed_up(wire):
    streams = [wire.open(SAMPLE) for _ in range(90)]
    for seed, stream in enumerate(streams):
        wire.send(stream, frame(sample(seed=seed)), end=True)
    bodies = [wire.answer(stream).body for stream in streams]
    assert len(set(bodies)) == len(bodies)
    assert wire.call(SAMPLE, frame(sample(seed=7))).body == bodies[7]


@pytest.mark.parametrize(
    "rubbish", [b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100]
)
def test_rubbish_ends_its_own_connection_only(served, wire, rubbish):
    host, _, port = served.target.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(rubbish)
        while connection.recv(1 << 16):
            pass
    assert wire.call(SAMPLE, frame(sample())).grpc_status == 0


def test_a_connection_that_ends_in_the_middle_of_a_frame_disturbs_nobody(served, wire):
    with http2(served.target) as other:
        other.send(other.open(SAMPLE), frame(sample())[:6])
    assert wire.call(SAMPLE, frame(sample())).grpc_status == 0
