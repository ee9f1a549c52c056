"""A status becomes an exception whose type says what to do, with the details the server sent along."""

import pickle

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

import vaeserve
from vaeserve import FieldViolation, errors


def trailers(*details: Message) -> list[tuple[str, str | bytes]]:
    packed = [Any() for _ in details]
    for place, detail in zip(packed, details, strict=True):
        place.Pack(detail)
    return [
        ("vae-run-seconds", "1"),
        ("grpc-status-details-bin", status_pb2.Status(details=packed).SerializeToString()),
    ]


RETRY_INFO = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_ARGUMENT", vaeserve.InvalidInput),
        ("NOT_FOUND", vaeserve.NotFound),
        ("FAILED_PRECONDITION", vaeserve.EmbeddingSpaceMismatch),
        ("RESOURCE_EXHAUSTED", vaeserve.ResourceExhausted),
        ("DEADLINE_EXCEEDED", vaeserve.DeadlineExceeded),
        ("UNAVAILABLE", vaeserve.Unavailable),
        ("UNAUTHENTICATED", vaeserve.Unauthenticated),
        ("PERMISSION_DENIED", vaeserve.PermissionDenied),
        ("CANCELLED", vaeserve.Cancelled),
        ("INTERNAL", vaeserve.Internal),
        ("UNIMPLEMENTED", vaeserve.VaeServeError),
    ],
)
def test_each_code_has_its_exception(code, kind):
    error = errors.from_status(code, "the message", ())
    assert type(error) is kind
    assert (error.code, error.message, str(error)) == (code, "the message", "the message")


def test_field_violations_are_read():
    violation = error_details_pb2.BadRequest.FieldViolation(field="count", description="must be 1..4096, got 0")
    bad_request = error_details_pb2.BadRequest(field_violations=[violation])
    error = errors.from_status("INVALID_ARGUMENT", "count must be 1..4096, got 0", trailers(bad_request))
    assert error.violations == (FieldViolation("count", "must be 1..4096, got 0"),)


def test_a_full_queue_says_in_seconds_when_to_try_again():
    error = errors.from_status("RESOURCE_EXHAUSTED", "busy", trailers(RETRY_INFO))
    assert type(error) is vaeserve.QueueFull
    assert error.retry_after == 1.5


def test_an_unknown_detail_is_passed_over():
    error = errors.from_status(
        "RESOURCE_EXHAUSTED", "busy", trailers(error_details_pb2.DebugInfo(detail="x"), RETRY_INFO)
    )
    assert error.retry_after == 1.5


def test_garbled_details_do_not_hide_the_error():
    error = errors.from_status("NOT_FOUND", "no model", [("grpc-status-details-bin", b"\xff\xff")])
    assert type(error) is vaeserve.NotFound
    assert error.violations == ()


def test_a_status_without_a_message_is_named_by_its_code():
    assert str(errors.from_status("UNAVAILABLE", None, ())) == "UNAVAILABLE"


def test_invalid_input_is_a_value_error():
    assert issubclass(vaeserve.InvalidInput, ValueError)


def test_errors_survive_pickling_for_those_who_use_processes():
    error = errors.from_status("RESOURCE_EXHAUSTED", "busy", trailers(RETRY_INFO))
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), copy.retry_after, copy.code) == (
        vaeserve.QueueFull,
        "busy",
        1.5,
        "RESOURCE_EXHAUSTED",
    )
