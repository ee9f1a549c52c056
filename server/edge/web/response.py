"""What HTTP answers: a status, header fields, a body."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that fits into memory."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def also(self, headers: Iterable[tuple[bytes, bytes]]) -> "Response":
        """The same with more header fields."""
        return Response(self.status, (*self.headers, *headers), self.body)


def as_json(status: int, value: Any, *headers: tuple[bytes, bytes]) -> Response:
    """A value as JSON."""
    return Response(status, ((b"content-type", JSON), *headers), json.dumps(value).encode())
