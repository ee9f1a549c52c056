"""Accounts: what each tenant has used of its quotas, and the refusals of what exceeds them."""

import math

from server.edge.access.tenants_file import Tenant, TenantsFile
from server.edge.access.token_bucket import TokenBucket
from server.errors import InvalidInput, PermissionDenied, QuotaExceeded

# The end of an open call cannot be predicted. Calls take milliseconds, and a retry is cheap.
CONCURRENCY_RETRY_SECONDS = 0.1


class Account:
    """One tenant's open calls and used rows."""

    def __init__(self, tenant: Tenant, *, now: float) -> None:
        self.tenant = tenant
        self.open_calls = 0
        self._bucket = _bucket(tenant, now)

    def open(self) -> None:
        """Count one more open call. Raises QuotaExceeded."""
        most = self.tenant.concurrent_calls
        if most is not None and self.open_calls >= most:
            raise QuotaExceeded(
                f"tenant {self.tenant.name} may have {most} calls at a time",
                tenant=self.tenant.name,
                reason="concurrency",
                retry_after=CONCURRENCY_RETRY_SECONDS,
            )
        self.open_calls += 1

    def close(self) -> None:
        self.open_calls -= 1

    @property
    def rows_at_once(self) -> int | None:
        """The most rows that one charge may take; None: any number."""
        return None if self._bucket is None else self._bucket.burst

    def charge(self, rows: int, *, field: str, now: float) -> None:
        """Take rows from the quota. Raises InvalidInput for more than the burst, and QuotaExceeded."""
        if self._bucket is None:
            return
        if rows > self._bucket.burst:
            raise InvalidInput(
                field, f"asks for {rows} rows; tenant {self.tenant.name} may have {self._bucket.burst} at once"
            )
        seconds = self._bucket.take(rows, now=now)
        if seconds > 0:
            raise QuotaExceeded(
                f"tenant {self.tenant.name} may have {self._bucket.rate:g} rows a second; "
                f"{rows} will be available in {seconds:.3f} s",
                tenant=self.tenant.name,
                reason="quota",
                retry_after=math.ceil(seconds * 1000) / 1000,
            )

    def give_back(self, rows: int) -> None:
        """Return rows that were charged but not run."""
        if self._bucket is not None:
            self._bucket.give_back(rows)

    def may_use(self, model: str) -> bool:
        return self.tenant.models is None or model in self.tenant.models

    def check_model(self, name: str) -> None:
        """Raises PermissionDenied."""
        if not self.may_use(name):
            raise PermissionDenied(f"tenant {self.tenant.name} may not use model {name}")

    def change(self, tenant: Tenant, *, now: float) -> None:
        """Give the tenant other quotas. What it has used stays used."""
        self.tenant = tenant
        if self._bucket is None or math.isinf(tenant.rows_per_second):
            self._bucket = _bucket(tenant, now)
        else:
            self._bucket.change(rate=tenant.rows_per_second, burst=tenant.burst_rows, now=now)


class Accounts:
    """The accounts of all tenants in the newest tenants file."""

    def __init__(self, tenants_file: TenantsFile, *, now: float) -> None:
        self.tenants_file = tenants_file
        self._accounts = {name: Account(tenant, now=now) for name, tenant in tenants_file.tenants.items()}

    def of(self, tenant: Tenant) -> Account:
        return self._accounts[tenant.name]

    def change(self, tenants_file: TenantsFile, *, now: float) -> None:
        """Use another tenants file. Open calls of tenants that are not in it end undisturbed."""
        before, self._accounts = self._accounts, {}
        for name, tenant in tenants_file.tenants.items():
            account = before.get(name)
            if account is None:
                account = Account(tenant, now=now)
            else:
                account.change(tenant, now=now)
            self._accounts[name] = account
        self.tenants_file = tenants_file


def _bucket(tenant: Tenant, now: float) -> TokenBucket | None:
    if math.isinf(tenant.rows_per_second):
        return None
    return TokenBucket(rate=tenant.rows_per_second, burst=tenant.burst_rows, now=now)
