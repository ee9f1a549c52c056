"""What a training run can be told, as Markdown: the settings with their meaning, and the presets by their settings."""

import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any, Literal

import click

from training.commands.fit import FLAGS, fit
from training.config import presets
from training.config.config import (
    Config,
    ConvArchitecture,
    FlowPrior,
    MlpArchitecture,
    Optimisation,
    TutorialArchitecture,
)

_COMMENTED = re.compile(r"^    (\w+): .*?  # (.*)$", re.MULTILINE)
_PURPOSE = re.compile(r'^    # (.*)\n    "(\w+)": Config\(', re.MULTILINE)
_TABLES = {
    "optimisation": (Optimisation,),
    "architecture": (ConvArchitecture, MlpArchitecture, TutorialArchitecture),
    "prior": (FlowPrior,),
}


def settings() -> str:
    """A table for every table of a TOML file, and for what stands above them."""
    pieces = ["Above all tables:", _table(Config, besides=("preset", *_TABLES))]
    for table, kinds in _TABLES.items():
        for kind in kinds:
            word = "".join(f" with `kind = {_toml(word)}`" for word in _kinds(kind))
            pieces += [f"`[{table}]`{word}: {inspect.getdoc(kind)}", _table(kind, besides=("kind",))]
    return "\n\n".join(pieces)


def presets_table() -> str:
    """What each preset is for, by the comment above it, and where it differs from the defaults of the settings."""
    purposes = {name: purpose for purpose, name in _PURPOSE.findall(inspect.getsource(presets))}
    rows = (
        f"| `{name}` | {purposes[name]} | {'; '.join(_differences(config))} |"
        for name, config in presets.PRESETS.items()
    )
    return "\n".join(("| preset | for | settings that are not at their default |", "|---|---|---|", *rows))


def _table(kind: type, *, besides: tuple[str, ...]) -> str:
    comments = dict(_COMMENTED.findall(inspect.getsource(kind)))
    rows = (_row(kind, setting, comments) for setting in fields(kind) if setting.name not in besides)
    return "\n".join(("| key | flag | default | one of | what |", "|---|---|---|---|---|", *rows))


def _row(kind: type, setting: "Field[Any]", comments: Mapping[str, str]) -> str:
    flag = _flags().get(setting.name, "") if kind in (Config, Optimisation) else ""
    default = "" if setting.default is MISSING else f"`{_toml(setting.default)}`"
    words = ", ".join(f"`{word}`" for word in _words(typing.get_type_hints(kind)[setting.name]))
    return f"| `{setting.name}` | {flag} | {default} | {words} | {comments[setting.name].replace('|', chr(92) + '|')} |"


@cache
def _flags() -> Mapping[str, str]:
    """The flag of each setting that has one."""
    options = (parameter for parameter in fit.params if isinstance(parameter, click.Option))
    return {FLAGS.get(option.name or "", option.name or ""): f"`{option.opts[-1]}`" for option in options}


def _words(hint: Any) -> tuple[str, ...]:
    """The words that a setting may be, where it is one of a few."""
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _kinds(kind: type) -> list[str]:
    """The word that chooses this table among several of its name."""
    return [str(setting.default) for setting in fields(kind) if setting.name == "kind"]


def _differences(config: Config, where: str = "") -> Iterator[str]:
    for setting in fields(config):
        value = getattr(config, setting.name)
        name = f"{where}{setting.name}"
        if setting.name == "prior" and value is not None:
            yield '`prior = "flow"`'
        if setting.name in _TABLES and value is not None:
            yield from (f"`{name}.kind = {_toml(kind)}`" for kind in _kinds(type(value)))
            yield from _differences(value, f"{name}.")
        elif setting.name not in ("preset", "kind", *_TABLES) and value != setting.default:
            yield f"`{name} = {_toml(value)}`"


def _toml(value: Any) -> str:
    """As a TOML file has it; what is absent there, as a dash."""
    match value:
        case None:
            return "-"
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
    return str(value)
