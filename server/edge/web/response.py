"""An HTTP response: status, header fields and body."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Response:
    """A response whose whole body is in memory."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def also(self, headers: Iterable[tuple[bytes, bytes]]) -> "Response":
        """The same response with more header fields."""
        return Response(self.status, (*self.headers, *headers), self.body)


def as_json(status: int, value: Any, *headers: tuple[bytes, bytes]) -> Response:
    """A response with a value as JSON."""
    return Response(status, ((b"content-type", JSON), *headers), json.dumps(value).encode())
