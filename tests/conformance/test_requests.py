"""Requests on the wire, cut in ways that no client library would choose."""

import gzip

import pytest
from support.http2 import Answer
from support.messages import SAMPLE, frame, sample
from support.transports import ENVOY_ONLY

from vaeserve.v1 import vaeserve_pb2 as pb

GOOD = frame(sample())


def rows(answer: Answer) -> int:
    assert (answer.http_status, answer.grpc_status) == (200, 0)
    assert answer.headers["content-type"].startswith("application/grpc")
    assert answer.body[:5] == frame(answer.body[5:])[:5]
    return pb.SampleResponse.FromString(answer.body[5:]).items.shape[0]


@pytest.mark.parametrize(
    "pieces",
    [[GOOD], [GOOD, b""], [GOOD[:3], GOOD[3:]], [GOOD[:5], GOOD[5:]], [bytes([byte]) for byte in GOOD]],
    ids=["whole", "end apart", "cut in the prefix", "cut after the prefix", "byte by byte"],
)
def test_a_message_may_be_cut_anywhere(wire, pieces):
    assert rows(wire.call(SAMPLE, *pieces)) == 1


@pytest.mark.parametrize("content_type", ["application/grpc+proto", "application/grpc;charset=utf-8"])
def test_every_grpc_content_type_is_accepted(wire, content_type):
    assert rows(wire.call(SAMPLE, GOOD, headers=[("content-type", content_type)])) == 1


@pytest.mark.parametrize(
    ("code", "piece", "headers"),
    [
        (3, frame(b"\xff\xfe"), []),
        (8, b"\0\x7f\xff\xff\xff", []),
        (13, frame(sample(), flag=1), []),
        (13, frame(sample(), flag=1), [("grpc-encoding", "identity")]),
        (13, frame(b"abc", flag=1), [("grpc-encoding", "gzip")]),
        (8, frame(gzip.compress(bytes(20_000_000), mtime=0), flag=1), [("grpc-encoding", "gzip")]),
        (13, GOOD, [("grpc-timeout", "soon")]),
        (4, GOOD, [("grpc-timeout", "0n")]),
        # grpc's core counts whole milliseconds, rounded up: of these rows the answer takes longer.
        (4, frame(sample(count=4000)), [("grpc-timeout", "1n")]),
    ],
    ids=[
        "no protobuf", "2 GiB announced", "compressed by nobody", "compressed by identity", "no gzip",
        "20 MB in 20 KB", "no timeout", "no time", "a nanosecond",
    ],
)  # fmt: skip
def test_a_bad_request_gets_a_status_and_the_connection_goes_on(wire, code, piece, headers):
    assert wire.call(SAMPLE, piece, headers=headers).grpc_status == code
    assert rows(wire.call(SAMPLE, GOOD)) == 1


@pytest.mark.parametrize("timeout", ["1H", "1M", "60S", "60000m", "60000000u", "99999999n"])
def test_every_unit_of_time_is_understood(wire, timeout):
    assert rows(wire.call(SAMPLE, GOOD, headers=[("grpc-timeout", timeout)])) == 1


def test_gzip_is_read(wire):
    compressed = frame(gzip.compress(sample(count=7)), flag=1)
    assert rows(wire.call(SAMPLE, compressed, headers=[("grpc-encoding", "gzip")])) == 7


def test_without_te_trailers_nothing_is_answered(wire):
    """A proxy that drops trailers would drop the status."""
    answer = wire.call(SAMPLE, GOOD, headers=[("te", "")])
    assert answer.reset is not None or answer.grpc_status == 13


def test_get_is_not_a_call(wire):
    answer = wire.answer(wire.open(SAMPLE, method="GET", end=True))
    assert answer.reset is not None or answer.http_status == 405


@ENVOY_ONLY
class TestByTheBook:
    """Rules of the specification that grpcio's server does not enforce: it answers any content type and several
    messages, and leaves a call without a message open until its deadline.
    """

    @pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", ""])
    def test_other_content_is_http_415(self, wire, content_type):
        answer = wire.call(SAMPLE, GOOD, headers=[("content-type", content_type)])
        assert answer.http_status == 415
        assert answer.headers["accept-post"] == "application/json, application/proto"

    @pytest.mark.parametrize("pieces", [[], [b""], [GOOD + GOOD]], ids=["headers only", "no body", "two messages"])
    def test_a_unary_call_has_one_message(self, wire, pieces):
        assert wire.call(SAMPLE, *pieces).grpc_status == 12

    @pytest.mark.parametrize("piece", [GOOD[:-1], GOOD[:3]])
    def test_a_request_that_ends_inside_a_message_is_refused(self, wire, piece):
        assert wire.call(SAMPLE, piece).grpc_status == 13

    def test_an_unsupported_encoding_is_unimplemented_and_the_supported_ones_are_named(self, wire):
        answer = wire.call(SAMPLE, frame(b"abc", flag=1), headers=[("grpc-encoding", "snappy")])
        assert answer.grpc_status == 12
        assert answer.headers["grpc-accept-encoding"] == "identity,gzip,deflate"

    def test_a_request_id_of_the_callers_own_does_not_matter(self, wire):
        streams = [wire.open(SAMPLE, ("x-request-id", "mine")) for _ in range(3)]
        for stream in streams:
            wire.send(stream, GOOD, end=True)
        wire.reset(streams[0])
        assert [rows(wire.answer(stream)) for stream in streams[1:]] == [1, 1]
