"""Metrics of who was let in and what protects the way."""

from collections.abc import Iterable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from server.core.events import AccessEvent, CallTurnedAway

TENANT_REASONS = ("permission", "quota", "concurrency")  # for which a tenant is known
NO_GRAPH = ("", "", "")  # refused before a model was looked for


class SecurityMetrics:
    """Tenants are labels: the file that lists them bounds their number."""

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
        """Make every series of these tenants, at zero: a rate misses the event with which a series is born."""
        for reason in ("unauthenticated", *TENANT_REASONS):
            self._rejected.labels(*NO_GRAPH, reason)
        for name in names:
            self._tenant_rows.labels(name)
            for reason in TENANT_REASONS:
                self._tenant_rejected.labels(name, reason)

    def access(self, event: AccessEvent) -> None:
        """The observer of the authenticator."""
        if isinstance(event, CallTurnedAway):
            self._rejected.labels(*NO_GRAPH, event.reason).inc()
            if event.tenant:
                self._tenant_rejected.labels(event.tenant, event.reason).inc()
        else:
            self._tenant_rows.labels(event.tenant).inc(event.rows)

    def expiry(self, certificate: Literal["server", "client_ca"], at: float) -> None:
        """A certificate is served that ends at this Unix time."""
        self._expiry.labels(certificate).set(at)

    def reloaded(self, what: str, *, ok: bool) -> None:
        self._reloads.labels(what, "ok" if ok else "failed").inc()
