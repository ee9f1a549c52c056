"""An authority that issues certificates for tests."""

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from vaeserve import Tls


class Authority:
    """Issues certificates, and writes them where servers and clients look."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self.folder = folder
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._ca.cert_pem.bytes())

    def issue(self, *names: str, folder: Path | None = None, stem: str = "tls") -> tuple[Path, Path]:
        """A certificate for these names and its key, which replace earlier ones."""
        folder = folder or self.folder
        folder.mkdir(exist_ok=True)
        leaf = self._ca.issue_cert(*names)
        certificate, key = folder / f"{stem}.crt", folder / f"{stem}.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        key.write_bytes(leaf.private_key_pem.bytes())
        return certificate, key

    def client(self, *names: str) -> Tls:
        """The TLS settings of a client with a certificate for these names; with no names, one that only trusts us."""
        if not names:
            return Tls(ca=self.file)
        certificate, key = self.issue(*names, stem=names[0].replace("/", "_").replace(":", "_"))
        return Tls(ca=self.file, certificate=certificate, key=key)


class SecretVolume:
    """A folder as Kubernetes mounts a Secret: files that link into a folder that is exchanged as a whole."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._generation = 0

    def put(self, authority: Authority, *names: str) -> tuple[Path, Path]:
        """Issue a new certificate under the same paths."""
        self._generation += 1
        authority.issue(*names, folder=self.folder / f"..{self._generation}")
        fresh = self.folder / "..fresh"
        fresh.symlink_to(f"..{self._generation}")
        os.replace(fresh, self.folder / "..data")
        files = self.folder / "tls.crt", self.folder / "tls.key"
        for file in files:
            if not file.is_symlink():
                file.symlink_to(f"..data/{file.name}")
        return files


@contextmanager
def encrypted(target: str, tls: Tls) -> Iterator[ssl.SSLSocket]:
    """A connection to localhost, for HTTP/2."""
    context = ssl.create_default_context(cafile=str(tls.ca))
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["h2"])
    host, _, port = target.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as opened,
    ):
        yield opened


def serial_shown(target: str, tls: Tls) -> str:
    """The serial number of the certificate that the server shows to a new connection."""
    with encrypted(target, tls) as connection:
        certificate = connection.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


def serial_in(file: Path) -> str:
    """The serial number of the first certificate of a file."""
    from cryptography import x509

    number = x509.load_pem_x509_certificates(file.read_bytes())[0].serial_number
    text = f"{number:X}"
    return text if len(text) % 2 == 0 else "0" + text
