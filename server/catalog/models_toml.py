"""Reads models.toml, which lies beside the models: the default model, and which versions get a model's calls.

default = "mnist"

[models.mnist]
stable = "3"            # or "newest", which is the default
canary = "4"            # or "newest" if stable is a number; default: none
canary_weight = 0.05    # of the calls that name neither version nor label; default 0
keep = ["1"]            # versions that stay loaded, for callers who name them
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.errors import ArtifactError

FILE = "models.toml"
NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class Policy:
    """The versions of one model that shall be stable, canary or kept loaded."""

    stable: str = NEWEST
    canary: str = ""  # "": none
    weight: float = 0.0  # the canary's share, 0..1
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policies:
    """The content of models.toml."""

    default: str = ""  # "": not set
    models: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, model: str) -> Policy:
        return self.models.get(model, Policy())


def read(folder: Path, *, models: Collection[str]) -> Policies:
    """Read the policies of a folder with these models; all defaults if it has no models.toml.

    Raises ArtifactError, which names file and key, if the file is not TOML, a key or value is not allowed, or a model
    does not exist.
    """
    file = folder / FILE
    try:
        facts = tomllib.loads(file.read_text())
    except FileNotFoundError:
        return Policies()
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file}: cannot be read as TOML: {error}") from error
    try:
        return _policies(facts, models)
    except ValueError as error:
        raise ArtifactError(f"{file}: {error}") from None


def _policies(facts: Mapping[str, Any], models: Collection[str]) -> Policies:
    _only(facts, "default", "models", of="key")
    default = facts.get("default", "")
    if not isinstance(default, str):
        raise ValueError(f"default is {default!r}; it must be the name of a model")
    if default and default not in models:
        raise ValueError(f"default is {default!r}; allowed: {', '.join(models)}")
    tables = facts.get("models", {})
    if not isinstance(tables, dict):
        raise ValueError(f"models is {tables!r}; it must be tables such as [models.{next(iter(models), 'mnist')}]")
    for name, table in tables.items():
        if name not in models:
            raise ValueError(f"[models.{name}]: there is no such model; there are {', '.join(models)}")
        if not isinstance(table, dict):
            raise ValueError(f"models.{name} is {table!r}; it must be a table")
    return Policies(default, {name: _policy(name, table) for name, table in tables.items()})


def _policy(name: str, table: Mapping[str, Any]) -> Policy:
    place = f"models.{name}"
    _only(table, "stable", "canary", "canary_weight", "keep", of=f"key of [{place}]")
    stable = _version(f"{place}.stable", table.get("stable", NEWEST))
    canary = _version(f"{place}.canary", table["canary"]) if "canary" in table else ""
    if canary and canary == stable:
        raise ValueError(f"{place}.canary is {canary!r}, the stable one; it must be another")
    weight = table.get("canary_weight", 0.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0.0 <= weight <= 1.0:
        raise ValueError(f"{place}.canary_weight is {weight!r}; it must be 0..1")
    if "canary_weight" in table and not canary:
        raise ValueError(f"{place}.canary_weight needs a canary")
    keep = table.get("keep", [])
    if not isinstance(keep, list):
        raise ValueError(f'{place}.keep is {keep!r}; it must be a list of versions such as ["1"]')
    return Policy(stable, canary, float(weight), tuple(_number(f"{place}.keep", version) for version in keep))


def _only(table: Mapping[str, Any], *allowed: str, of: str) -> None:
    for key in table:
        if key not in allowed:
            raise ValueError(f"unknown {of} {key!r}; allowed: {', '.join(allowed)}")


def _version(place: str, value: Any) -> str:
    return NEWEST if value == NEWEST else _number(place, value, besides='"newest" or ')


def _number(place: str, value: Any, *, besides: str = "") -> str:
    if not (isinstance(value, str) and value.isascii() and value.isdigit()):
        raise ValueError(f'{place} is {value!r}; it must be {besides}a version such as "3"')
    return value
