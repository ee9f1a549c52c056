"""JSON messages: wraps a unary method so that the same handler and boundary read and write JSON.

The mapping is protobuf's own (https://protobuf.dev/programming-guides/json/), with one addition: an enum value may
omit the prefix that all values of its enum share, so that "PNG" means ENCODING_PNG.
"""

import json
import re
from dataclasses import replace
from typing import Any, TypeAlias, cast

from google.protobuf import json_format
from google.protobuf.message import Message

from server.core.call import Call, CallRecord
from server.edge.methods import Unary, UnaryHandler
from server.errors import InvalidInput

# Protobuf parses JSON value by value in Python, on the thread that carries all calls. A tensor is a single string, so
# that valid requests have few values, even if they have many bytes.
MAX_VALUES = 16_384
_PROBLEM_CHARACTERS = 300
_Object: TypeAlias = dict[str, Any]


def in_json(method: Unary) -> Unary:
    """A copy of the method with its request and response in JSON."""
    request = cast("type[Message]", _Request(method.request))
    return replace(method, request=request, handler=_answering_in_json(method.handler))


class _Request:
    """Stands for a message type in the boundary, and parses JSON."""

    def __init__(self, message: type[Message]) -> None:
        self._message = message
        self.DESCRIPTOR = message.DESCRIPTOR

    def FromString(self, payload: bytes) -> Message:  # noqa: N802  # protobuf's name
        """Parse a request in JSON into its message. Raises InvalidInput."""
        values = sum(payload.count(mark) for mark in (b",", b"[", b"{"))
        if values > MAX_VALUES:
            raise InvalidInput("request", f"must hold at most {MAX_VALUES} values, got {values}; tensors are base64")
        try:
            value = json.loads(payload or b"{}", object_pairs_hook=_without_duplicates)
            if not isinstance(value, dict):
                raise InvalidInput("request", f"must be a JSON object, got {_kind(value)}")
            _lengthen_enums(value, self._message.DESCRIPTOR)
            return json_format.ParseDict(value, self._message())
        except json_format.ParseError as error:
            raise InvalidInput("request", _short(f"cannot be read as {self.DESCRIPTOR.name}: {error}")) from None
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError is one
            raise InvalidInput("request", _short(f"is not JSON: {error}")) from None


class _Response:
    """Stands for a message in the boundary, and serialises it as JSON."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def SerializeToString(self) -> bytes:  # noqa: N802  # protobuf's name
        return json_format.MessageToJson(self._message, indent=None).encode()


def _answering_in_json(handler: UnaryHandler) -> UnaryHandler:
    async def answer(request: Any, call: Call, record: CallRecord) -> Message:
        response = await handler(request, call, record)
        return cast("Message", _Response(response))

    return answer


def _without_duplicates(pairs: list[tuple[str, Any]]) -> _Object:
    made: _Object = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"{name!r} occurs twice")
        made[name] = value
    return made


def _lengthen_enums(value: _Object, message: Any) -> None:
    """Replace short enum values by their full names, at any depth. `message` is the descriptor of `value`."""
    for name, inner in value.items():
        field = message.fields_by_camelcase_name.get(name) or message.fields_by_name.get(name)
        if field is None:
            continue  # ParseDict raises a better error
        if field.enum_type is not None:
            value[name] = (
                [_full(i, field.enum_type) for i in inner] if isinstance(inner, list) else _full(inner, field.enum_type)
            )
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for part in inner if isinstance(inner, list) else (inner,):
                if isinstance(part, dict):
                    _lengthen_enums(part, field.message_type)


def _full(value: Any, enum: Any) -> Any:
    if not isinstance(value, str) or value in enum.values_by_name:
        return value
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper()
    full = f"{prefix}_{value.upper()}"
    return full if full in enum.values_by_name else value


def _kind(value: Any) -> str:
    return {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


def _short(text: str) -> str:
    return text if len(text) <= _PROBLEM_CHARACTERS else text[:_PROBLEM_CHARACTERS] + "..."
