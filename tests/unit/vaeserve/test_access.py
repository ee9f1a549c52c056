"""TLS settings and API keys of a client."""

import os

import pytest

from vaeserve import Client, InvalidInput, QuotaExceeded, Tls, errors
from vaeserve.access import ApiKey
from vaeserve.cli.connection import Access


def test_a_key_goes_along_as_a_bearer_token():
    assert ApiKey("abc", None).metadata() == (("authorization", "Bearer abc"),)
    assert ApiKey(None, None).metadata() == ()


def test_a_key_file_is_read_again_when_it_changes(tmp_path):
    file = tmp_path / "key"
    file.write_text("one\n")
    key = ApiKey(None, file)
    assert key.metadata() == (("authorization", "Bearer one"),)
    fresh = tmp_path / "fresh"
    fresh.write_text("two")
    os.replace(fresh, file)
    assert key.metadata() == (("authorization", "Bearer two"),)
    file.unlink()
    with pytest.raises(InvalidInput, match=r"api_key_file cannot be read: .*No such file"):
        key.metadata()


@pytest.mark.parametrize("key", ["", " ", "a b", "s3cret\nx", "schlüssel"])
def test_what_is_no_key_is_refused_and_not_repeated(key):
    with pytest.raises(InvalidInput) as refusal:
        Client("127.0.0.1:1", api_key=key)
    assert str(refusal.value) == "api_key must hold one API key, printable and without blanks"


def test_a_key_and_a_file_exclude_each_other(tmp_path):
    with pytest.raises(InvalidInput, match="exclude each other"):
        Client("127.0.0.1:1", api_key="a", api_key_file=tmp_path)


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        (Tls(certificate="c"), "tls needs certificate and key together"),
        (Tls(ca="/no/such/file"), r"tls\.ca cannot be read: /no/such/file: No such file"),
    ],
)
def test_files_that_tls_cannot_use_are_named(tls, problem):
    with pytest.raises(InvalidInput, match=problem):
        Client("127.0.0.1:1", tls=tls)


def test_a_command_encrypts_if_any_option_for_tls_is_given():
    assert Access.of_environment({}).tls() is False
    variables = {"VAESERVE_TLS_CA": "a", "VAESERVE_TLS_SERVER_NAME": "n", "VAESERVE_TLS_CERTIFICATE": "the server's"}
    assert Access.of_environment(variables).tls() == Tls(ca="a", server_name="n")


def test_a_quota_is_told_apart_from_a_full_queue():
    from google.protobuf.any_pb2 import Any
    from google.protobuf.duration_pb2 import Duration
    from google.rpc import error_details_pb2, status_pb2

    retry, quota = Any(), Any()
    retry.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=2)))
    quota.Pack(error_details_pb2.QuotaFailure())
    status = status_pb2.Status(details=[retry, quota]).SerializeToString()
    error = errors.from_status("RESOURCE_EXHAUSTED", "used up", [("grpc-status-details-bin", status)])
    assert (type(error), error.retry_after) == (QuotaExceeded, 2.0)
