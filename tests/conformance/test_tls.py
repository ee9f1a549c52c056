"""TLS: which clients are answered, which certificate they see, and what happens when it changes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.authority import Authority, SecretVolume, encrypted, serial_in, serial_shown
from support.http2 import Http2
from support.messages import SAMPLE, frame, sample
from support.server import ServerProcess, server
from support.transports import NEEDS_ENVOY, TRANSPORTS
from support.waiting import wait_until

import vaeserve
from vaeserve import Client, Tls

REFUSED = (vaeserve.Unavailable, vaeserve.DeadlineExceeded)  # a handshake that fails is tried again until the deadline


def events(process: ServerProcess, event: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in process.lines if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


class Protected:
    """A server with TLS, and how to change its certificate."""

    def __init__(self, process: ServerProcess, authority: Authority, volume: SecretVolume) -> None:
        self.process, self.authority, self.volume = process, authority, volume
        self.certificate, self.key = volume.folder / "tls.crt", volume.folder / "tls.key"

    def shown(self) -> str:
        return serial_shown(self.process.target, self.authority.client())


@pytest.fixture(scope="module", params=TRANSPORTS)
def protected(request, models: Path, tmp_path_factory) -> Iterator[Protected]:
    folder = tmp_path_factory.mktemp("tls")
    authority, volume = Authority(folder), SecretVolume(folder / "volume")
    certificate, key = volume.put(authority, "localhost", "127.0.0.1")
    arguments = ["--transport", request.param, "--default-model", "tiny"]
    with server(models, *arguments, "--tls-certificate", str(certificate), "--tls-key", str(key)) as process:
        yield Protected(process, authority, volume)


def test_a_client_that_trusts_the_issuer_is_answered(protected):
    with Client(protected.process.target, tls=protected.authority.client()) as client:
        assert client.health() == "SERVING"
        assert len(client.sample(3, seed=1).items) == 3


def test_a_client_that_trusts_another_issuer_does_not_connect(protected, tmp_path):
    stranger = Authority(tmp_path)
    with Client(protected.process.target, tls=stranger.client(), timeout=2) as client, pytest.raises(REFUSED):
        client.health()


def test_a_client_without_encryption_is_not_answered(protected):
    with Client(protected.process.target, timeout=2) as client, pytest.raises(REFUSED):
        client.health()


def test_a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on(protected):
    before = protected.shown()
    with encrypted(protected.process.target, protected.authority.client()) as connection:
        old = Http2(connection)
        assert old.call(SAMPLE, frame(sample())).grpc_status == 0
        protected.volume.put(protected.authority, "localhost", "127.0.0.1")
        wait_until(lambda: protected.shown() != before)
        assert protected.shown() == serial_in(protected.certificate)
        assert old.call(SAMPLE, frame(sample())).grpc_status == 0
    assert protected.process.sum("vae_reloads_total", what="certificate", result="ok") >= 1


def test_files_written_over_are_seen_as_well(protected):
    protected.authority.issue("localhost", "127.0.0.1", folder=protected.certificate.resolve().parent)
    wait_until(lambda: protected.shown() == serial_in(protected.certificate))


@pytest.mark.parametrize("harm", ["no certificate", "key of another", "expired"])
def test_a_broken_certificate_leaves_the_old_one_and_is_reported(protected, harm, tmp_path):
    good = protected.shown()
    told, failed = len(events(protected.process, "not reloaded")), failures(protected.process)
    saved = protected.certificate.read_bytes()
    if harm == "no certificate":
        protected.certificate.write_text("rubbish")
    elif harm == "key of another":
        other, _ = protected.authority.issue("localhost", folder=tmp_path)
        protected.certificate.write_bytes(other.read_bytes())
    else:
        protected.certificate.write_bytes(expired())
    wait_until(lambda: len(events(protected.process, "not reloaded")) > told)
    (line,) = events(protected.process, "not reloaded")[told:]
    assert line["what"] == "certificate"
    assert str(protected.volume.folder) in line["reason"]
    assert failures(protected.process) == failed + 1
    assert protected.shown() == good
    protected.certificate.write_bytes(saved)
    healed = len(events(protected.process, "reloaded"))
    wait_until(lambda: len(events(protected.process, "reloaded")) > healed)


def test_metrics_tell_when_the_certificate_ends(protected):
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(protected.certificate.read_bytes())
    gauge = protected.process.sum("vae_certificate_expiry_timestamp_seconds", certificate="server")
    assert gauge == certificate.not_valid_after_utc.timestamp()


@NEEDS_ENVOY
def test_files_of_a_killed_server_are_removed_by_the_next_one(models, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    arguments = ["--transport", "envoy", "--default-model", "tiny"]
    arguments += ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    with server(models, *arguments, env={"TMPDIR": str(temporary)}) as killed:
        (left,) = temporary.iterdir()
        killed.process.kill()
        killed.wait()
        assert left.is_dir()
        with server(models, *arguments, env={"TMPDIR": str(temporary)}) as after:
            (own,) = temporary.iterdir()
            assert own != left
            assert after.terminate() == 0
    assert list(temporary.iterdir()) == []


def failures(process: ServerProcess) -> float:
    return process.sum("vae_reloads_total", what="certificate", result="failed")


def expired() -> bytes:
    import datetime

    import trustme

    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    return trustme.CA().issue_cert("localhost", not_after=past).cert_chain_pems[0].bytes()


@pytest.fixture(scope="module", params=TRANSPORTS)
def mutual(request, models: Path, tmp_path_factory) -> Iterator[Protected]:
    folder = tmp_path_factory.mktemp("mtls")
    authority, volume = Authority(folder), SecretVolume(folder / "volume")
    certificate, key = volume.put(authority, "localhost", "127.0.0.1")
    arguments = ["--transport", request.param, "--default-model", "tiny", "--tls-client-ca", str(authority.file)]
    with server(models, *arguments, "--tls-certificate", str(certificate), "--tls-key", str(key)) as process:
        yield Protected(process, authority, volume)


def test_mutual_tls_answers_whoever_has_a_certificate_of_ours(mutual):
    with Client(mutual.process.target, tls=mutual.authority.client("alice.example")) as client:
        assert len(client.sample(1).items) == 1


def test_mutual_tls_answers_nobody_else(mutual, tmp_path):
    strange = Authority(tmp_path).client("alice.example")
    strangers = (mutual.authority.client(), Tls(mutual.authority.file, strange.certificate, strange.key))
    for tls in strangers:
        with Client(mutual.process.target, tls=tls, timeout=2) as client, pytest.raises(REFUSED):
            client.health()


def test_mutual_tls_follows_the_file_of_those_whom_it_trusts(mutual, tmp_path):
    newcomer = Authority(tmp_path)
    theirs = newcomer.client("bob.example")
    saved = mutual.authority.file.read_bytes()
    trusting = tmp_path / "ours.pem"
    trusting.write_bytes(saved)

    def answered() -> bool:
        tls = Tls(trusting, theirs.certificate, theirs.key)
        with Client(mutual.process.target, tls=tls, timeout=1) as client:
            try:
                return client.health() == "SERVING"
            except REFUSED:
                return False

    assert not answered()
    mutual.authority.file.write_bytes(saved + newcomer.file.read_bytes())
    wait_until(answered)
