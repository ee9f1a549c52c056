"""How a client knows its server, and what it shows of itself: TLS and API keys."""

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

    ca           file with the certificates, PEM, that may have issued the server's; None: those that gRPC comes with
    certificate  file with this client's own certificate and its chain, PEM, for servers that ask for one (mutual TLS)
    key          file with that certificate's private key, PEM
    server_name  the name that must stand in the server's certificate; None: the host in the target
    """

    ca: FilePath | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises InvalidInput for files that cannot be read or do not come together."""
        if (self.certificate is None) != (self.key is None):
            raise InvalidInput.field("tls", "needs certificate and key together")
        return grpc.ssl_channel_credentials(
            root_certificates=_optional("tls.ca", self.ca),
            private_key=_optional("tls.key", self.key),
            certificate_chain=_optional("tls.certificate", self.certificate),
        )

    def options(self) -> tuple[tuple[str, str], ...]:
        return () if self.server_name is None else (("grpc.ssl_target_name_override", self.server_name),)


class ApiKey:
    """What shows the server whose calls these are. Never printed."""

    def __init__(self, key: str | None, file: FilePath | None) -> None:
        """A key, or a file that holds one and may hold another tomorrow. Raises InvalidInput."""
        if key is not None and file is not None:
            raise InvalidInput.field("api_key", "and api_key_file exclude each other")
        self._file = file
        self._mark: tuple[int, int] | None = None
        self._metadata = _bearer("api_key", key) if key is not None else ()
        self.metadata()

    def metadata(self) -> Metadata:
        """What goes with every call. Raises InvalidInput if the file has become unreadable."""
        if self._file is not None:
            mark = self._changed()
            if mark != self._mark:
                self._metadata = _bearer("api_key_file", _content("api_key_file", self._file).decode("latin-1"))
                self._mark = mark
        return self._metadata

    def _changed(self) -> tuple[int, int]:
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


def _optional(field: str, file: FilePath | None) -> bytes | None:
    return None if file is None else _content(field, file)


def _content(field: str, file: FilePath) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise _unreadable(field, file, error) from error


def _unreadable(field: str, file: FilePath, error: OSError) -> InvalidInput:
    return InvalidInput.field(field, f"cannot be read: {os.fspath(file)}: {error.strerror}")
