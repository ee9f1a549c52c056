"""What the two clients have in common: how a function that builds a call becomes a method that makes it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from vaeserve.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., Any])


def describes(call: Callable[..., Any]) -> Callable[[F], F]:
    """Give a method the name, docstring and signature of the function that builds its call.

    The first parameter, the model, becomes `self`; the return type, Call[R], becomes R.
    """

    def described(method: F) -> F:
        _model, *parameters = inspect.signature(call).parameters.values()
        (result,) = get_args(inspect.signature(call).return_annotation)
        self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        functools.update_wrapper(method, call)
        method.__signature__ = inspect.Signature([self, *parameters], return_annotation=result)  # type: ignore[attr-defined]
        return method

    return described


def positive(timeout: float | None) -> float | None:
    """A timeout in seconds. Raises InvalidInput unless it is above 0 or None."""
    if timeout is not None and not timeout > 0:
        raise InvalidInput.field("timeout", f"must be above 0 seconds, or None for no deadline, got {timeout}")
    return timeout
