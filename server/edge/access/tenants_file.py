"""The file that lists the tenants: TOML, one table for each.

[tenants.alice]
keys = ["3f9a2c1d5e6b:sha256:..."]       # made by `python -m server.keys alice`; old and new during a change of keys
certificates = ["alice.example"]         # names (DNS, URI) of client certificates
models = ["mnist"]                       # default: all
rows_per_second = 500.0                  # default: no limit
burst_rows = 2000                        # rows at once after a pause; default: 10 seconds of rows_per_second
concurrent_calls = 16                    # default: no limit
weight = 2                               # turns in the fair queue, relative to other tenants; default: 1
"""

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.edge.access.api_key import KeyHash, id_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
BURST_SECONDS = 10
MOST_ROWS = 1 << 40
MOST_CALLS, MOST_WEIGHT = 1 << 20, 100


class BadTenantsFile(Exception):
    """The file cannot be used; the message says where the mistake is and never quotes a possible secret."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A named caller: how it is recognised, and its quotas."""

    name: str
    keys: tuple[KeyHash, ...] = ()
    certificates: tuple[str, ...] = ()
    models: frozenset[str] | None = None  # None: all
    rows_per_second: float = math.inf
    burst_rows: int = 0  # 0 without rows_per_second
    concurrent_calls: int | None = None  # None: any number
    weight: int = 1


@dataclass(frozen=True, slots=True)
class TenantsFile:
    """All tenants, found by key or certificate."""

    tenants: Mapping[str, Tenant]
    _by_key_id: Mapping[str, tuple[Tenant, KeyHash]] = field(default_factory=dict)
    _by_certificate: Mapping[str, Tenant] = field(default_factory=dict)

    def by_key(self, key: str) -> Tenant | None:
        """The tenant that the key belongs to."""
        entry = self._by_key_id.get(id_of(key) or "")
        if entry is None:
            return None
        tenant, key_hash = entry
        return tenant if key_hash.matches(key) else None

    def by_certificate(self, name: str) -> Tenant | None:
        return self._by_certificate.get(name)


def read(file: Path) -> TenantsFile:
    """Read the file. Raises BadTenantsFile."""
    try:
        text = file.read_text()
    except OSError as error:
        raise BadTenantsFile(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise BadTenantsFile(f"{file}: is not text") from None
    try:
        return parse(text)
    except BadTenantsFile as error:
        raise BadTenantsFile(f"{file}: {error}") from None


def parse(text: str) -> TenantsFile:
    """Read the file's text. Raises BadTenantsFile."""
    try:
        facts = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadTenantsFile(f"is not TOML: {error}") from None
    tables = facts.pop("tenants", None)
    if facts or not isinstance(tables, dict) or not tables:
        raise BadTenantsFile("must hold tables [tenants.NAME] and nothing else")
    tenants: dict[str, Tenant] = {}
    by_key_id: dict[str, tuple[Tenant, KeyHash]] = {}
    by_certificate: dict[str, Tenant] = {}
    for name, table in tables.items():
        if not _NAME.fullmatch(name):
            raise BadTenantsFile(f"tenants: {name!r} is not a name: use 1 to 63 letters, digits, '_' or '-'")
        tenant = tenants[name] = _tenant(name, table)
        for key in tenant.keys:
            if key.key_id in by_key_id:
                raise BadTenantsFile(f"tenants.{name}.keys: id {key.key_id} is listed twice")
            by_key_id[key.key_id] = (tenant, key)
        for certificate in tenant.certificates:
            if certificate in by_certificate:
                raise BadTenantsFile(f"tenants.{name}.certificates: {certificate!r} is listed twice")
            by_certificate[certificate] = tenant
    return TenantsFile(tenants, by_key_id, by_certificate)


def _tenant(name: str, table: Any) -> Tenant:
    if not isinstance(table, dict):
        raise BadTenantsFile(f"tenants.{name}: must be a table")
    values: dict[str, Any] = {}
    for key, value in table.items():
        where = f"tenants.{name}.{key}"
        check = _FIELDS.get(key)
        if check is None:
            raise BadTenantsFile(f"{where}: unknown; allowed are {', '.join(_FIELDS)}")
        try:
            values[key] = check(value)
        except ValueError as error:
            raise BadTenantsFile(f"{where}: {error}") from None
    if not values.get("keys") and not values.get("certificates"):
        raise BadTenantsFile(f"tenants.{name}: needs keys or certificates: without them no call can belong to it")
    if "rows_per_second" in values:
        values.setdefault("burst_rows", max(1, math.ceil(values["rows_per_second"] * BURST_SECONDS)))
    elif "burst_rows" in values:
        raise BadTenantsFile(f"tenants.{name}.burst_rows: needs rows_per_second")
    return Tenant(name, **values)


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ValueError("must be a list of strings")
    return tuple(value)


def _keys(value: Any) -> tuple[KeyHash, ...]:
    return tuple(KeyHash.parse(entry) for entry in _strings(value))


def _integer(most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ValueError(f"must be an integer 1..{most}")
        return value

    return check


def _rate(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MOST_ROWS:
        raise ValueError("must be a number above 0")
    return float(value)


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "keys": _keys,
    "certificates": _strings,
    "models": lambda value: frozenset(_strings(value)),
    "rows_per_second": _rate,
    "burst_rows": _integer(MOST_ROWS),
    "concurrent_calls": _integer(MOST_CALLS),
    "weight": _integer(MOST_WEIGHT),
}
