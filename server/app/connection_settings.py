"""What the settings say of connections: their certificate, their age, their keepalive.

Imports neither numpy nor Prometheus: a process that becomes Envoy reads this first.
"""

from pathlib import Path

from server.edge.access import certificate
from server.edge.access.certificate import BadCertificate, Certificate, CertificateFiles
from server.edge.transports.connections import Connections, CurrentCertificate
from server.errors import StartFailed
from server.settings import Settings

# A connection that has reached its maximum age has the longest call's time and this much more to finish its calls.
GRACE_SECONDS = 10.0


def certificate_files(settings: Settings) -> CertificateFiles | None:
    """The paths of the certificate, its key and the clients' authorities; None without TLS."""
    if not settings.tls_certificate:
        return None
    return CertificateFiles(
        certificate=Path(settings.tls_certificate),
        key=Path(settings.tls_key),
        client_ca=Path(settings.tls_client_ca) if settings.tls_client_ca else None,
    )


def read_certificate(files: CertificateFiles) -> Certificate:
    """Read and check the certificate. Raises StartFailed."""
    try:
        return certificate.read(files)
    except BadCertificate as error:
        raise StartFailed(f"TLS: {error}") from error


def connections(settings: Settings, *, current_certificate: CurrentCertificate | None = None) -> Connections:
    """How transports keep and protect connections."""
    return Connections(
        keepalive_seconds=settings.keepalive_seconds,
        max_age_seconds=settings.max_connection_age,
        grace_seconds=settings.max_seconds + GRACE_SECONDS,
        current_certificate=current_certificate,
    )
