"""Values of which every call makes a dozen."""

from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A frozen dataclass with slots, as far as the type checker can tell.

    At run time nobody is kept from setting a field: a dataclass that watches over its fields takes far longer to make.
    """
    made: Any = dataclass(slots=True)(cls)
    return made  # type: ignore[no-any-return]
