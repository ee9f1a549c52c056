"""The client's docstrings, written for `help()`, as reStructuredText.

Three habits of theirs are translated: arguments as two aligned columns, examples as indented lines, and what a field
of a dataclass holds as a comment behind it.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import groupby
from typing import Any

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.inspect import stringify_signature

_ARGUMENT = re.compile(r"(\w[\w, ]*?) {2,}(\S.*)")
_FIELD = re.compile(r" {4}(\w+): [^#]*?(?:# (.*))?$")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", _translate)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _translate(_app: Sphinx, _what: str, _name: str, thing: Any, _options: Any, lines: list[str]) -> None:
    paragraphs = [list(lines) for filled, lines in groupby(lines, bool) if filled]
    translated = [line for paragraph in paragraphs for line in (*_paragraph(paragraph), "")]
    lines[:] = [*translated, *_definitions(_fields(thing))]


def _signature(
    _app: Sphinx, _what: str, _name: str, thing: Any, _options: Any, _arguments: str | None, _returns: str | None
) -> tuple[str, str] | None:
    """The signature to show, where it is not autodoc's own.

    A method of the clients has one of its own beside that of the function it wraps. How to construct a result or an
    error, which the client does, is nobody's question.
    """
    if is_dataclass(thing) or (inspect.isclass(thing) and issubclass(thing, Exception)):
        return "", ""
    own: inspect.Signature | None = getattr(thing, "__signature__", None)
    if not inspect.isfunction(thing) or own is None:
        return None
    _self, *parameters = (_readable(parameter) for parameter in own.parameters.values())
    arguments, _, returns = stringify_signature(
        own.replace(parameters=parameters), unqualified_typehints=True
    ).partition(" -> ")
    return arguments, returns


def _readable(parameter: inspect.Parameter) -> inspect.Parameter:
    """numpy's ArrayLike by its name, rather than by the eight types that it stands for."""
    return parameter.replace(annotation="ArrayLike") if parameter.annotation == ArrayLike else parameter


def _paragraph(lines: list[str]) -> Iterator[str]:
    if all(line.startswith(" ") for line in lines):
        yield from ("::", "", *lines)
    elif _ARGUMENT.fullmatch(lines[0]):
        yield from _definitions(_columns(lines))
    else:
        yield from map(_escaped, lines)


def _columns(lines: list[str]) -> Iterator[tuple[str, str]]:
    """(name, meaning) of each argument; what is indented goes on with the meaning above."""
    name, meaning = "", ""
    for line in lines:
        if found := _ARGUMENT.fullmatch(line):
            if name:
                yield name, meaning
            name, meaning = found[1], found[2]
        else:
            meaning += f" {line.strip()}"
    yield name, meaning


def _fields(thing: Any) -> Iterator[tuple[str, str]]:
    """(name, comment) of each field of a dataclass that documents its fields so."""
    if not is_dataclass(thing):
        return
    found = [_FIELD.match(line) for line in inspect.getsource(thing).splitlines()]
    fields = [(match[1], match[2] or "") for match in found if match]
    if any(comment for _, comment in fields):
        yield from fields


def _definitions(pairs: Iterator[tuple[str, str]]) -> Iterator[str]:
    for name, meaning in pairs:
        yield from (f"* ``{name}``" + (f": {_escaped(meaning)}" if meaning else ""), "")


def _escaped(line: str) -> str:
    return re.sub(r"([|*])", r"\\\1", line)
