"""A strict decoder from plain mappings (TOML, JSON, checkpoints) to frozen dataclasses; its errors name the key.

Settings, checkpoints and journals are read by it.
"""

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from training.errors import TrainingError

T = TypeVar("T")


def from_mapping(cls: type[T], facts: Mapping[str, Any], *, where: str = "") -> T:
    """Build `cls` from a mapping of its fields; nested mappings become nested dataclasses.

    In a union of dataclasses the literal field `kind` decides which one is built.
    Raises TrainingError for an unknown or missing key and for a value of the wrong type.
    """
    hints = get_type_hints(cls)
    declared = {f.name: f for f in fields(cast(Any, cls))}
    for key in facts:
        if key not in declared:
            raise TrainingError(
                f"unknown setting {where}{key}; allowed: {', '.join(where + name for name in declared)}"
            )
    values = {}
    for name, declaration in declared.items():
        if name in facts:
            values[name] = _value(hints[name], facts[name], f"{where}{name}")
        elif declaration.default is MISSING and declaration.default_factory is MISSING:
            raise TrainingError(f"setting {where}{name} is missing")
    return cls(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return _union(get_args(hint), value, where)
    if is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(cast(type, hint), value, where=f"{where}.")
    if get_origin(hint) is Literal and value in get_args(hint):
        return value
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(get_args(hint)[0], inner, where) for inner in value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise TrainingError(f"setting {where} is {value!r}; allowed: {_allowed(hint)}")


def _union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in members:
        return None
    choices = [member for member in members if member is not type(None)]
    if len(choices) == 1:
        return _value(choices[0], value, where)
    kinds = {get_args(get_type_hints(member)["kind"])[0]: member for member in choices}
    got = value.get("kind") if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping) or not isinstance(got, str) or got not in kinds:
        raise TrainingError(f"setting {where}.kind is {got!r}; allowed: {', '.join(kinds)}")
    return from_mapping(kinds[value["kind"]], value, where=f"{where}.")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer larger than every float
        return False


def _allowed(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"a list of {_allowed(get_args(hint)[0])}"
    return {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}.get(
        hint, "a table of settings"
    )
