"""HTTP/JSON and the page over TLS with client certificates: on Envoy's port, since grpcio's HTTP port has no TLS."""

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.authority import Authority
from support.messages import SAMPLE
from support.server import ServerProcess, server
from support.transports import NEEDS_ENVOY

from vaeserve import Tls

from .conftest import flags

pytestmark = NEEDS_ENVOY
CLAIM = {"x-forwarded-client-cert": "Hash=00;DNS=alice.example"}


class Site:
    """A server that requires client certificates, and one tenant that is known by its certificate."""

    def __init__(self, process: ServerProcess, authority: Authority) -> None:
        self.process, self.authority = process, authority

    def ask(self, tls: Tls, verb: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Status and body by HTTP/1.1, as curl and pages ask that do not know HTTP/2."""
        context = ssl.create_default_context(cafile=str(tls.ca))
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
        context.set_alpn_protocols(["http/1.1"])
        _, _, port = self.process.target.rpartition(":")
        connection = http.client.HTTPSConnection("localhost", int(port), timeout=20, context=context)
        try:
            connection.request(verb, path, body, {"content-type": "application/json", **headers})
            answer = connection.getresponse()
            assert answer.version == 11
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def site(models: Path, tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("https")
    authority = Authority(folder)
    certificate, key = authority.issue("localhost", "127.0.0.1")
    tenants = folder / "tenants.toml"
    tenants.write_text('[tenants.alice]\ncertificates = ["alice.example"]\n')
    protection = ["--tls-certificate", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.file)]
    with server(models, *flags("envoy"), *protection, "--api-keys", str(tenants)) as process:
        yield Site(process, authority)


def test_a_certificate_lets_json_in_on_its_tenants_account(site):
    before = site.process.sum("vae_tenant_rows_total", tenant="alice")
    status, body = site.ask(site.authority.client("alice.example"), "POST", SAMPLE, b'{"count": 3, "seed": 1}')
    assert (status, json.loads(body)["items"]["shape"][0]) == (200, "3")
    assert site.process.sum("vae_tenant_rows_total", tenant="alice") == before + 3


def test_the_page_is_sent_to_any_client_with_a_certificate_of_the_authority(site):
    status, body = site.ask(site.authority.client("bob.example"), "GET", "/")
    assert status == 200
    assert b"<title>vaeserve" in body


@pytest.mark.parametrize("claims", [{}, CLAIM], ids=["silent", "claiming another's"])
def test_a_certificate_of_no_tenant_is_denied_whatever_headers_come_with_it(site, claims):
    status, body = site.ask(site.authority.client("mallory.example"), "POST", SAMPLE, b'{"count": 1}', **claims)
    assert (status, json.loads(body)["message"]) == (403, "the client certificate belongs to no tenant")


def test_clients_without_such_a_certificate_get_no_answer(site, tmp_path):
    strange = Authority(tmp_path).client("alice.example")
    for tls in (site.authority.client(), Tls(site.authority.file, strange.certificate, strange.key)):
        with pytest.raises(OSError):  # noqa: PT011  # the handshake fails, or the connection is cut after it
            site.ask(tls, "GET", "/")
