"""The server's own TLS certificate: read from files, and checked before any client sees it."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509


class BadCertificate(Exception):
    """A file cannot be used; the message says which and why, and quotes nothing of a key."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The paths of the files."""

    certificate: Path  # PEM, the server's own first, then those that lead to its issuer
    key: Path  # PEM, without a password
    client_ca: Path | None  # PEM, the authorities that issue client certificates; None: clients need no certificate

    def all(self) -> tuple[Path, ...]:
        return (self.certificate, self.key, *([self.client_ca] if self.client_ca else []))


@dataclass(frozen=True, slots=True)
class Certificate:
    """The contents of the files, checked."""

    chain: bytes  # PEM
    key: bytes  # PEM
    client_ca: bytes | None  # PEM
    expires: float  # Unix time at which the first certificate of the chain expires
    client_ca_expires: float | None  # the same for the authorities

    def __repr__(self) -> str:
        return f"Certificate(expires={self.expires})"  # keeps the key out of logs


def read(files: CertificateFiles, *, now: Callable[[], datetime.datetime] | None = None) -> Certificate:
    """Read the files; check that the key fits the certificate and that it has not expired. Raises BadCertificate."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    moment = now() if now else datetime.datetime.now(datetime.UTC)
    chain, certificates = _certificates(files.certificate)
    own = certificates[0]
    if own.not_valid_after_utc <= moment:
        raise BadCertificate(f"{files.certificate}: expired at {own.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC")
    key = _content(files.key)
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        # The library's own message could quote parts of the file.
        raise BadCertificate(f"{files.key}: is not a private key in PEM without a password") from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        raise BadCertificate(f"{files.key}: is not the key of {files.certificate}")
    client_ca, authorities = (None, []) if files.client_ca is None else _certificates(files.client_ca)
    return Certificate(
        chain=chain,
        key=key,
        client_ca=client_ca,
        expires=_first_end(certificates),
        client_ca_expires=_first_end(authorities) if authorities else None,
    )


def _certificates(file: Path) -> tuple[bytes, "list[x509.Certificate]"]:
    from cryptography import x509

    content = _content(file)
    try:
        return content, x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise BadCertificate(f"{file}: holds no certificate in PEM") from error


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadCertificate(f"{file}: cannot be read: {error.strerror}") from error


def _first_end(certificates: "list[x509.Certificate]") -> float:
    return min(certificate.not_valid_after_utc.timestamp() for certificate in certificates)
