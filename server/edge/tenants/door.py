"""A call comes in: who is it, and may it? And out it goes, with what it took."""

import time
from collections.abc import Callable
from dataclasses import replace

from server.core.caller import Caller
from server.core.events import Charged, DoorEvent, TurnedAway
from server.edge.peer import Peer
from server.edge.tenants.accounts import Account, Accounts
from server.edge.tenants.roll import Roll, Tenant
from server.errors import PermissionDenied, QuotaExceeded, Unauthenticated

SCHEME = "bearer "


class Visit:
    """One call of a tenant: its last charge, and its place among the calls at a time. A core.caller.Allowance."""

    __slots__ = ("_account", "_charged", "_door", "_open")

    def __init__(self, door: "Door", account: Account) -> None:
        self._door, self._account = door, account
        self._charged = 0
        self._open = True

    def caller(self, caller: Caller) -> Caller:
        """The same call, now that it is known whose it is."""
        tenant = self._account.tenant
        caller.asked.tenant = tenant.name  # which whoever accounts for the call sees too
        return replace(caller, tenant=tenant.name, weight=tenant.weight, allowance=self)

    @property
    def rows_at_once(self) -> int | None:
        return self._account.rows_at_once

    def charge(self, rows: int, *, field: str) -> None:
        """See Account.charge."""
        self._charged = 0
        self._door.charge(self._account, rows, field=field)
        self._charged = rows

    def may_use(self, model: str) -> bool:
        return self._account.may_use(model)

    def check_model(self, name: str) -> None:
        """See Account.check_model."""
        try:
            self._account.check_model(name)
        except PermissionDenied:
            self._door.tell(TurnedAway("permission", self._account.tenant.name))
            raise

    def give_back(self) -> None:
        """What was charged last is not had after all."""
        self._account.give_back(self._charged)
        self._charged = 0

    def leave(self) -> None:
        """The call is over. May be called again."""
        if self._open:
            self._open = False
            self._account.close()


class Door:
    """Lets in whoever is on the roll."""

    def __init__(
        self, roll: Roll, *, tell: Callable[[DoorEvent], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`tell` hears of every refusal and every charge."""
        self.tell = tell
        self._clock = clock
        self._accounts = Accounts(roll, now=clock())

    def change(self, roll: Roll) -> None:
        """Another roll from now on."""
        self._accounts.change(roll, now=self._clock())

    def enter(self, peer: Peer) -> Visit:
        """Raises Unauthenticated, PermissionDenied (a certificate of nobody's), QuotaExceeded (too many at a time)."""
        try:
            account = self._accounts.of(self._who(peer))
        except Unauthenticated:
            self.tell(TurnedAway("unauthenticated", ""))
            raise
        except PermissionDenied:
            self.tell(TurnedAway("permission", ""))
            raise
        try:
            account.open()
        except QuotaExceeded:
            self.tell(TurnedAway("concurrency", account.tenant.name))
            raise
        return Visit(self, account)

    def charge(self, account: Account, rows: int, *, field: str) -> None:
        try:
            account.charge(rows, field=field, now=self._clock())
        except QuotaExceeded:
            self.tell(TurnedAway("quota", account.tenant.name))
            raise
        self.tell(Charged(account.tenant.name, rows))

    def _who(self, peer: Peer) -> Tenant:
        """A key decides if there is one; else the certificate does."""
        roll = self._accounts.roll
        authorization = peer.metadata.get("authorization", "")
        if authorization:
            scheme, key = authorization[: len(SCHEME)], authorization[len(SCHEME) :]
            tenant = roll.by_key(key.strip()) if scheme.lower() == SCHEME else None
            if tenant is None:
                raise Unauthenticated("the API key is unknown")
            return tenant
        names = peer.certificate_names
        for name in names:
            tenant = roll.by_certificate(name)
            if tenant is not None:
                return tenant
        if names:
            raise PermissionDenied("the client certificate belongs to no tenant")
        raise Unauthenticated("an API key is needed, as metadata `authorization: Bearer KEY`")
