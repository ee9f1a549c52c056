"""Headers and trailers by the gRPC HTTP/2 specification, in both directions."""

import pytest

from server.edge.status import Code, RefusedCall, Status
from server.edge.transports.envoy import response
from server.edge.transports.envoy.request import seconds_left, speaks_grpc


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"2H", 7200.0),
        (b"3M", 180.0),
        (b"4S", 4.0),
        (b"500m", 0.5),
        (b"99999999u", 99.999999),
        (b"0n", 0.0),
    ],
)
def test_a_timeout_is_a_number_and_a_unit(text, seconds):
    assert seconds_left({b"grpc-timeout": text}) == pytest.approx(seconds)


def test_without_a_timeout_there_is_no_limit():
    assert seconds_left({}) is None


@pytest.mark.parametrize("text", [b"", b"1", b"S", b"-1S", b"1.5S", b"123456789S", b"1s", b"1 S", "١S".encode()])
def test_a_malformed_timeout_is_refused_and_quoted(text):
    with pytest.raises(RefusedCall, match="grpc-timeout must be 1 to 8 digits"):
        seconds_left({b"grpc-timeout": text})


@pytest.mark.parametrize("content_type", [b"application/grpc", b"application/grpc+proto", b"application/grpc;x=y"])
def test_grpc_comes_in_several_spellings(content_type):
    assert speaks_grpc(content_type)


@pytest.mark.parametrize("content_type", [b"", b"application/json", b"application/grpc-web", b"application/grpcx"])
def test_other_content_is_not_grpc(content_type):
    assert not speaks_grpc(content_type)


def test_a_status_message_is_percent_encoded_but_for_printable_ascii():
    headers = dict(response.trailers(Status(Code.NOT_FOUND, "no 'ä', 100 %\n~"))["headers"])
    assert headers == {b"grpc-status": b"5", b"grpc-message": b"no '%C3%A4', 100 %25%0A~"}


def test_a_good_status_has_no_message():
    assert response.trailers(Status())["headers"] == [(b"grpc-status", b"0")]


def test_binary_metadata_is_base64_without_padding_and_text_stays():
    pairs = (("grpc-status-details-bin", b"\xff\xfe"), ("vae-batch-rows", "7"))
    assert response.metadata(pairs) == [(b"grpc-status-details-bin", b"//4"), (b"vae-batch-rows", b"7")]


def test_a_refusal_is_sent_in_headers_alone():
    event = response.trailers_only(Status(Code.UNAVAILABLE, "x"))
    assert event["headers"] == [
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"14"),
        (b"grpc-message", b"x"),
    ]
    assert not event.get("trailers", False)
