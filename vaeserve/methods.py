"""Makes a client's method look like the function that builds its call: name, docstring and signature."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args

F = TypeVar("F", bound=Callable[..., Any])


def describes(call: Callable[..., Any], *, returns: Any = None) -> Callable[[F], F]:
    """Give a method the name, docstring and signature of the function that builds its call.

    The first parameter, the model, becomes `self`; the return type becomes `returns`, and by default R of Call[R].
    """

    def decorate(method: F) -> F:
        _model, *parameters = inspect.signature(call).parameters.values()
        (result,) = [returns] if returns else get_args(inspect.signature(call).return_annotation)
        self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        functools.update_wrapper(method, call)
        method.__signature__ = inspect.Signature([self, *parameters], return_annotation=result)  # type: ignore[attr-defined]
        return method

    return decorate
