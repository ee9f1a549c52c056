"""Finds the tenant of every call by its key or certificate, admits or refuses the call, and charges its rows."""

import time
from collections.abc import Callable
from dataclasses import replace

from server.core.call import Call
from server.core.events import AccessEvent, CallTurnedAway, RowsCharged
from server.edge.access.accounts import Account, Accounts
from server.edge.access.tenants_file import Tenant, TenantsFile
from server.edge.peer import Peer
from server.errors import PermissionDenied, QuotaExceeded, Unauthenticated

SCHEME = "bearer "


class AdmittedCall:
    """One admitted call of a tenant: it counts as open until it leaves, and knows its last charge.

    An implementation of core.call.Allowance.
    """

    __slots__ = ("_account", "_authenticator", "_charged", "_open")

    def __init__(self, authenticator: "Authenticator", account: Account) -> None:
        self._authenticator, self._account = authenticator, account
        self._charged = 0
        self._open = True

    def on_behalf(self, call: Call) -> Call:
        """The same call with its tenant's name, weight and allowance."""
        tenant = self._account.tenant
        return replace(call, tenant=tenant.name, weight=tenant.weight, allowance=self)

    @property
    def rows_at_once(self) -> int | None:
        return self._account.rows_at_once

    def charge(self, rows: int, *, field: str) -> None:
        """See Account.charge."""
        self._charged = 0
        self._authenticator.charge(self._account, rows, field=field)
        self._charged = rows

    def may_use(self, model: str) -> bool:
        return self._account.may_use(model)

    def check_model(self, name: str) -> None:
        """See Account.check_model."""
        try:
            self._account.check_model(name)
        except PermissionDenied:
            self._authenticator.tell(CallTurnedAway("permission", self._account.tenant.name))
            raise

    def give_back(self) -> None:
        """Return the last charge, as its rows were not run."""
        self._account.give_back(self._charged)
        self._charged = 0

    def leave(self) -> None:
        """End the call. May be called again."""
        if self._open:
            self._open = False
            self._account.close()


class Authenticator:
    """Admits the calls of the tenants in the tenants file, within their quotas."""

    def __init__(
        self,
        tenants_file: TenantsFile,
        *,
        tell: Callable[[AccessEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` is called with every refusal and every charge."""
        self.tell = tell
        self._clock = clock
        self._accounts = Accounts(tenants_file, now=clock())

    def change(self, tenants_file: TenantsFile) -> None:
        """Use another tenants file."""
        self._accounts.change(tenants_file, now=self._clock())

    def enter(self, peer: Peer) -> AdmittedCall:
        """Admit a call.

        Raises Unauthenticated, PermissionDenied (the certificate belongs to no tenant) or QuotaExceeded (too many
        calls open).
        """
        try:
            account = self._accounts.of(self._tenant_of(peer))
        except Unauthenticated:
            self.tell(CallTurnedAway("unauthenticated", ""))
            raise
        except PermissionDenied:
            self.tell(CallTurnedAway("permission", ""))
            raise
        try:
            account.open()
        except QuotaExceeded:
            self.tell(CallTurnedAway("concurrency", account.tenant.name))
            raise
        return AdmittedCall(self, account)

    def charge(self, account: Account, rows: int, *, field: str) -> None:
        try:
            account.charge(rows, field=field, now=self._clock())
        except QuotaExceeded:
            self.tell(CallTurnedAway("quota", account.tenant.name))
            raise
        self.tell(RowsCharged(account.tenant.name, rows))

    def _tenant_of(self, peer: Peer) -> Tenant:
        """The tenant of a peer: by its key if it sent one, else by its certificate."""
        tenants_file = self._accounts.tenants_file
        authorization = peer.metadata.get("authorization", "")
        if authorization:
            scheme, key = authorization[: len(SCHEME)], authorization[len(SCHEME) :]
            tenant = tenants_file.by_key(key.strip()) if scheme.lower() == SCHEME else None
            if tenant is None:
                raise Unauthenticated("the API key is unknown")
            return tenant
        names = peer.certificate_names
        for name in names:
            tenant = tenants_file.by_certificate(name)
            if tenant is not None:
                return tenant
        if names:
            raise PermissionDenied("the client certificate belongs to no tenant")
        raise Unauthenticated("an API key is needed, as metadata `authorization: Bearer KEY`")
