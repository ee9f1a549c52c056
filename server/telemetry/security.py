"""Metrics of tenants (refusals, rows), of certificates, and of files that were read again."""

from collections.abc import Iterable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from server.core.events import AccessEvent, CallTurnedAway

TENANT_REASONS = ("permission", "quota", "concurrency")  # reasons for refusing a known tenant
NO_GRAPH = ("", "", "")  # labels of a call that is refused before its model is looked up


class SecurityMetrics:
    """The metrics of access and encryption. A tenant's name is a label: the tenants file bounds their number."""

    def __init__(self, registry: CollectorRegistry, *, rejected: Counter) -> None:
        """`rejected` is the counter of all refusals, by model, version, graph and reason."""
        self._rejected = rejected
        self._tenant_rows = Counter(
            "vae_tenant_rows_total", "Rows charged to a tenant of the tenants file.", ("tenant",), registry=registry
        )
        self._tenant_rejected = Counter(
            "vae_tenant_rejected_total",
            "Calls of a tenant refused: permission, quota, concurrency.",
            ("tenant", "reason"),
            registry=registry,
        )
        self._expiry = Gauge(
            "vae_certificate_expiry_timestamp_seconds",
            "Unix time at which the first certificate of the server's chain, or of the client_ca file, expires; "
            "none without TLS.",
            ("certificate",),
            registry=registry,
        )
        self._reloads = Counter(
            "vae_reloads_total",
            "Changed files (certificate, api keys) that were read: ok, failed.",
            ("what", "result"),
            registry=registry,
        )

    def tenants(self, names: Iterable[str]) -> None:
        """Create every series of these tenants at zero, as rate() misses the event that creates a series."""
        for reason in ("unauthenticated", *TENANT_REASONS):
            self._rejected.labels(*NO_GRAPH, reason)
        for name in names:
            self._tenant_rows.labels(name)
            for reason in TENANT_REASONS:
                self._tenant_rejected.labels(name, reason)

    def access(self, event: AccessEvent) -> None:
        """Record a refusal or a charge: the authenticator's observer."""
        if isinstance(event, CallTurnedAway):
            self._rejected.labels(*NO_GRAPH, event.reason).inc()
            if event.tenant:
                self._tenant_rejected.labels(event.tenant, event.reason).inc()
        else:
            self._tenant_rows.labels(event.tenant).inc(event.rows)

    def expiry(self, certificate: Literal["server", "client_ca"], at: float) -> None:
        """Record the Unix time at which the certificate in use expires."""
        self._expiry.labels(certificate).set(at)

    def reloaded(self, what: str, *, ok: bool) -> None:
        self._reloads.labels(what, "ok" if ok else "failed").inc()
