"""The server's settings as a table in Markdown: flag, default, allowed words, meaning."""

import typing
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any, Literal

from server.settings import Settings


def markdown() -> str:
    """One row for each setting, in the order of the code."""
    return "\n".join(("| flag | default | one of | what |", "|---|---|---|---|", *map(_row, fields(Settings))))


def _row(setting: "Field[Any]") -> str:
    default = "" if setting.default == "" else f"`{setting.default}`"
    words = ", ".join(f"`{word}`" for word in _words(setting))
    return f"| `--{setting.name.replace('_', '-')}` | {default} | {words} | {_escaped(setting)} |"


def _words(setting: "Field[Any]") -> Iterator[str]:
    """The words that a setting may be, where it is one of a few."""
    kind = typing.get_type_hints(Settings)[setting.name]
    if typing.get_origin(kind) is Literal:
        yield from typing.get_args(kind)


def _escaped(setting: "Field[Any]") -> str:
    return str(setting.metadata["help"]).replace("<", "\\<").replace("*", "\\*").replace("|", "\\|")
