"""Builds the authenticator and TLS from the settings, and reads their files again when they change."""

import asyncio
from pathlib import Path
from typing import Any

from server.app import file_watcher
from server.app.connection_settings import certificate_files, connections, read_certificate
from server.app.file_watcher import FileWatcher
from server.edge.access import certificate, tenants_file
from server.edge.access.authenticator import Authenticator
from server.edge.access.certificate import Certificate, CertificateFiles
from server.edge.access.tenants_file import BadTenantsFile, TenantsFile
from server.edge.transports.connections import CurrentCertificate
from server.errors import StartFailed
from server.settings import Settings
from server.telemetry.logs import Log
from server.telemetry.security import SecurityMetrics


class Security:
    """The authenticator and the certificate of one server, kept up to date with their files."""

    def __init__(self, settings: Settings, *, metrics: SecurityMetrics, log: Log) -> None:
        """Read the files of the settings for the first time. Raises StartFailed."""
        self._metrics, self._log = metrics, log
        self._watched: list[FileWatcher[Any]] = []
        self._watching: asyncio.Task[None] | None = None
        self.authenticator = self._make_authenticator(Path(settings.api_keys)) if settings.api_keys else None
        files = certificate_files(settings)
        self.connections = connections(settings, current_certificate=None if files is None else self._follow(files))
        if settings.reachable_unencrypted:
            log.warning("unencrypted", host=settings.host, remedy="--tls-certificate and --tls-key")

    def watch(self) -> None:
        """Check from now on, on the running loop, whether the files have changed."""
        if self._watched:
            self._watching = asyncio.create_task(file_watcher.watch(self._watched))

    def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    def _make_authenticator(self, file: Path) -> Authenticator:
        def change(value: TenantsFile) -> None:
            self._metrics.tenants(value.tenants)
            authenticator.change(value)

        try:
            watched = FileWatcher(
                "api keys", [file], lambda: tenants_file.read(file), changed=change, report=self._report
            )
        except BadTenantsFile as error:
            raise StartFailed(f"--api-keys: {error}") from error
        self._watched.append(watched)
        self._metrics.tenants(watched.value.tenants)
        authenticator = Authenticator(watched.value, tell=self._metrics.access)
        return authenticator

    def _follow(self, files: CertificateFiles) -> CurrentCertificate:
        current_certificate = CurrentCertificate(read_certificate(files))
        self._measure(current_certificate.certificate)

        def change(value: Certificate) -> None:
            current_certificate.change(value)
            self._measure(value)

        self._watched.append(
            FileWatcher(
                "certificate", files.all(), lambda: certificate.read(files), changed=change, report=self._report
            )
        )
        return current_certificate

    def _measure(self, value: Certificate) -> None:
        self._metrics.expiry("server", value.expires)
        if value.client_ca_expires is not None:
            self._metrics.expiry("client_ca", value.client_ca_expires)

    def _report(self, name: str, error: Exception | None) -> None:
        self._metrics.reloaded(name, ok=error is None)
        if error is None:
            self._log.info("reloaded", what=name)
        else:
            self._log.error("not reloaded", what=name, reason=str(error), still="the one before")
