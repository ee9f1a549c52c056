"""Metadata: what a caller sends besides its message, read from the transport only when needed."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeAlias

Metadata: TypeAlias = Mapping[str, str]  # by lower-case key; binary values (keys that end in -bin) are left out
NO_METADATA: Metadata = MappingProxyType({})


class LazyMetadata(Mapping[str, str]):
    """The metadata of one call, read from its transport at the first access."""

    __slots__ = ("_read", "_values")

    def __init__(self, read: Callable[[], Metadata]) -> None:
        self._read = read
        self._values: Metadata | None = None

    def __getitem__(self, key: str) -> str:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Metadata:
        if self._values is None:
            self._values = self._read()
        return self._values


def of_headers(headers: Mapping[bytes, bytes]) -> Metadata:
    """Metadata from HTTP header fields with lower-case names."""
    return LazyMetadata(
        lambda: {
            name.decode("ascii"): value.decode("latin-1")
            for name, value in headers.items()
            if not name.endswith(b"-bin")
        }
    )
