"""Checks of the client's arguments: only what the message types require. The server checks the rest.

Each function returns the value to send, and raises InvalidInput that names the argument.
"""

import operator
from collections.abc import Mapping
from typing import TypeVar

from vaeserve.errors import InvalidInput

T = TypeVar("T")


def positive(timeout: float | None) -> float | None:
    """A timeout in seconds. Raises InvalidInput unless it is above 0 or None."""
    if timeout is not None and not timeout > 0:
        raise InvalidInput.field("timeout", f"must be above 0 seconds, or None for no deadline, got {timeout}")
    return timeout


def integer(field: str, value: int) -> int:
    """An integer that fits into int64. The server checks its range."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidInput.field(field, f"must be an integer, got {value!r}") from None
    if not -(2**63) <= number < 2**63:
        raise InvalidInput.field(field, f"must be below 2^63, got {number}")
    return number


def at_least_one(field: str, value: int) -> int:
    """As `integer`, for a field in which the message's 0 means the default."""
    number = integer(field, value)
    if number == 0:
        raise InvalidInput.field(field, "must be at least 1, got 0")
    return number


def real(field: str, value: float) -> float:
    """Any float. The server checks its range."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidInput.field(field, f"must be a number, got {value!r}") from None


def seed_or_none(seed: int | None) -> int | None:
    """A seed, or None to let the server pick one."""
    return None if seed is None else integer("seed", seed)


def chosen(field: str, value: str, choices: Mapping[str, T]) -> T:
    """The API's value for one of a few words."""
    if value not in choices:
        raise InvalidInput.field(field, f"must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return choices[value]
