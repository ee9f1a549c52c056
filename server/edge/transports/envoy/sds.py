"""Envoy's TLS certificate, by its secret discovery service (SDS) over files.

Envoy reads the operator's own files again whenever a file is moved into the folder of the secrets. So no key is
copied, and this process decides when: after it has checked the new files.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.edge.access.certificate import CertificateFiles

Document = dict[str, Any]
_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
CERTIFICATE, CLIENT_CA = "certificate", "client_ca"


class Secrets:
    """A private folder that tells Envoy where the secrets are, and when to read them again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def describe(self, files: CertificateFiles) -> None:
        """Write the files that Envoy reads when it starts. Raises OSError."""
        watched = {"path": str(self.folder)}
        self._write(
            CERTIFICATE,
            {
                "tls_certificate": {
                    "certificate_chain": {"filename": str(files.certificate.absolute())},
                    "private_key": {"filename": str(files.key.absolute())},
                    "watched_directory": watched,
                }
            },
        )
        if files.client_ca is not None:
            trusted = {"filename": str(files.client_ca.absolute())}
            self._write(CLIENT_CA, {"validation_context": {"trusted_ca": trusted, "watched_directory": watched}})

    def read_again(self) -> None:
        """Make Envoy read the operator's files again. Raises OSError."""
        fresh = self.folder / "fresh"
        fresh.touch()
        fresh.rename(self.folder / "read")

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def transport_socket(self, files: CertificateFiles, protocols: Sequence[str]) -> Document:
        """The TLS configuration of a listener whose connections speak one of these protocols (ALPN, RFC 7301)."""
        common: Document = {
            "alpn_protocols": list(protocols),
            "tls_certificate_sds_secret_configs": [self._subscription(CERTIFICATE)],
        }
        if files.client_ca is not None:
            common["validation_context_sds_secret_config"] = self._subscription(CLIENT_CA)
        return {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{_TYPE}.DownstreamTlsContext",
                "require_client_certificate": files.client_ca is not None,
                "common_tls_context": common,
            },
        }

    def _subscription(self, name: str) -> Document:
        source = {"path_config_source": {"path": str(self._file(name))}, "resource_api_version": "V3"}
        return {"name": name, "sds_config": source}

    def _write(self, name: str, secret: Document) -> None:
        resource = {"@type": f"{_TYPE}.Secret", "name": name, **secret}
        self._file(name).write_text(json.dumps({"resources": [resource]}))

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"
