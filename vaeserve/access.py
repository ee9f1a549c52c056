"""TLS and API keys: how a client verifies its server, and how it proves who it is."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import grpc

from vaeserve.errors import InvalidInput

FilePath: TypeAlias = str | os.PathLike[str]
Metadata: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Tls:
    """An encrypted connection to a server that proves who it is.

    ca           PEM file of the authorities that may have issued the server's certificate; None: gRPC's own list
    certificate  PEM file with this client's certificate and its chain, for servers that ask for one (mutual TLS)
    key          PEM file with the private key of that certificate
    server_name  the name that the server's certificate must hold; None: the host in the target
    """

    ca: FilePath | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """gRPC's form. Raises InvalidInput for an unreadable file, or a certificate without its key."""
        if (self.certificate is None) != (self.key is None):
            raise InvalidInput.field("tls", "needs certificate and key together")
        return grpc.ssl_channel_credentials(
            root_certificates=_content_or_none("tls.ca", self.ca),
            private_key=_content_or_none("tls.key", self.key),
            certificate_chain=_content_or_none("tls.certificate", self.certificate),
        )

    def options(self) -> tuple[tuple[str, str], ...]:
        """The channel options that go with the credentials."""
        return () if self.server_name is None else (("grpc.ssl_target_name_override", self.server_name),)


class ApiKey:
    """The key that tells the server which tenant calls. Never printed."""

    def __init__(self, key: str | None, file: FilePath | None) -> None:
        """A key, or a file that holds one and is read again when it changes. Raises InvalidInput."""
        if key is not None and file is not None:
            raise InvalidInput.field("api_key", "and api_key_file exclude each other")
        self._file = file
        self._stamp_read: tuple[int, int] | None = None  # of the file when it was last read
        self._metadata = _bearer("api_key", key) if key is not None else ()
        self.metadata()

    def metadata(self) -> Metadata:
        """The metadata of every call. Raises InvalidInput if the file has become unreadable."""
        if self._file is not None:
            stamp = self._stamp()
            if stamp != self._stamp_read:
                self._metadata = _bearer("api_key_file", _content("api_key_file", self._file).decode("latin-1"))
                self._stamp_read = stamp
        return self._metadata

    def _stamp(self) -> tuple[int, int]:
        """Inode and time of change: another stamp means another content."""
        assert self._file is not None
        try:
            facts = os.stat(self._file)
        except OSError as error:
            raise _unreadable("api_key_file", self._file, error) from error
        return facts.st_ino, facts.st_mtime_ns


def _bearer(field: str, key: str) -> Metadata:
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidInput.field(field, "must hold one API key, printable and without blanks")
    return (("authorization", f"Bearer {key}"),)


def _content_or_none(field: str, file: FilePath | None) -> bytes | None:
    return None if file is None else _content(field, file)


def _content(field: str, file: FilePath) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise _unreadable(field, file, error) from error


def _unreadable(field: str, file: FilePath, error: OSError) -> InvalidInput:
    return InvalidInput.field(field, f"cannot be read: {os.fspath(file)}: {error.strerror}")
