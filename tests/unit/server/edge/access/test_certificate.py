"""A server's certificate is checked before any client sees it, and names in client certificates are read."""

import datetime

import pytest
from support.authority import Authority

from server.edge.access.certificate import BadCertificate, CertificateFiles, read
from server.edge.transports.envoy.client_certificate import certificate_names


@pytest.fixture
def files(tmp_path) -> CertificateFiles:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost")
    return CertificateFiles(certificate, key, authority.file)


def test_a_certificate_is_read_as_it_is_in_its_files(files):
    certificate = read(files)
    assert certificate.chain == files.certificate.read_bytes()
    assert certificate.key == files.key.read_bytes()
    assert certificate.client_ca == files.client_ca.read_bytes()


def test_a_key_is_not_shown_when_a_certificate_is_printed(files):
    assert "PRIVATE" not in repr(read(files))


def test_a_certificate_that_has_ended_is_refused(files):
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365_000)
    with pytest.raises(BadCertificate, match=r"tls\.crt: expired at "):
        read(files, now=lambda: later)


@pytest.mark.parametrize(
    ("which", "content", "problem"),
    [
        ("certificate", "rubbish", r"tls\.crt: holds no certificate in PEM"),
        ("key", "rubbish", r"tls\.key: is not a private key in PEM without a password"),
        ("client_ca", "", r"ca\.pem: holds no certificate in PEM"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(files, which, content, problem):
    getattr(files, which).write_text(content)
    with pytest.raises(BadCertificate, match=problem):
        read(files)


def test_a_file_that_is_missing_is_named(files):
    files.key.unlink()
    with pytest.raises(BadCertificate, match=r"tls\.key: cannot be read: No such file"):
        read(files)


def test_a_key_of_another_certificate_is_refused(files, tmp_path):
    _, other = Authority(tmp_path, "other").issue("localhost", stem="other")
    with pytest.raises(BadCertificate, match=r"other\.key: is not the key of .*tls\.crt"):
        read(CertificateFiles(files.certificate, other, None))


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("", []),
        ("Hash=ab;DNS=a.example;DNS=b.example", ["a.example", "b.example"]),
        ('Hash=ab;Subject="CN=x,O=y";URI=spiffe://a/b;DNS=c', ["spiffe://a/b", "c"]),
        (r'Subject="CN=a\";DNS=evil";DNS=good', ["good"]),
        ("Hash=ab;DNS=a,Hash=cd;DNS=b", []),  # two certificates: of a chain of proxies, which we do not have
        ('Subject="open;DNS=a', []),
        ("rubbish", []),
    ],
)
def test_names_of_a_client_certificate_are_read_and_none_from_a_malformed_header(header, names):
    assert list(certificate_names(header)) == names
