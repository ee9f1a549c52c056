"""How preset, TOML file and flags become one Config: flags override the file, the file overrides the preset."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.config.config import Config
from training.config.presets import preset
from training.errors import TrainingError

Facts = Mapping[str, Any]
# The words for `prior`: N(0, I), or a flow with the preset's settings.
PRIORS: Mapping[str, Facts | None] = {"normal": None, "flow": {}}


def resolve(*, name: str | None, file: Path | None, flags: Facts, defaults: Facts | None = None) -> Config:
    """The configuration of a new run. `flags` is nested like Config and holds only the flags that were given.

    `defaults` override the preset, and are overridden by file and flags. Raises TrainingError, which names the setting,
    if one is unknown or not allowed, and OSError if `file` cannot be read.
    """
    written = {} if file is None else _tables(_read(file))
    chosen = name or written.get("preset", "default")
    if not isinstance(chosen, str):
        raise TrainingError(f"{file}: preset is {chosen!r}; it must be a text")
    facts = preset(chosen).to_mapping()
    for changes in (defaults or {}, written, _tables(flags)):
        facts = merge(facts, changes)
    return Config.of({**facts, "preset": chosen})


def require_unchanged(config: Config, flags: Facts) -> None:
    """Raise TrainingError if `flags` differ from `config`; it names the first setting that differs."""
    wanted = Config.of(merge(config.to_mapping(), _tables(flags))).to_mapping()
    for name, (was, asked) in differences(config.to_mapping(), wanted).items():
        raise TrainingError(
            f"--resume: the run has {name} = {was}, the command line says {asked}; drop that flag, or start a new run"
        )


def merge(base: Facts, changes: Facts) -> dict[str, Any]:
    """`base` with `changes`, merged table by table; a table of another `kind` replaces the old one entirely."""
    result = dict(base)
    for name, value in changes.items():
        old = result.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        if both and value.get("kind", old.get("kind")) == old.get("kind"):  # type: ignore[union-attr]  # both are tables
            result[name] = merge(old, value)  # type: ignore[arg-type]
        else:
            result[name] = value
    return result


def differences(old: Facts, new: Facts, where: str = "") -> dict[str, tuple[Any, Any]]:
    """The settings that differ between two plain mappings: dotted name -> (old value, new value)."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in {**old, **new}:
        was, asked = old.get(name), new.get(name)
        if isinstance(was, Mapping) and isinstance(asked, Mapping):
            found |= differences(was, asked, f"{where}{name}.")
        elif was != asked:
            found[f"{where}{name}"] = (was, asked)
    return found


def _tables(facts: Facts) -> Facts:
    """`facts` with a word for the prior replaced by its table. Raises TrainingError if a table is not a mapping."""
    read = dict(facts)
    if isinstance(read.get("prior"), str) and read["prior"] in PRIORS:
        read["prior"] = PRIORS[read["prior"]]
    for name in ("architecture", "optimisation", "prior"):
        if not isinstance(read.get(name, {}), Mapping) and read[name] is not None:
            words = f"{', '.join(PRIORS)}, or " if name == "prior" else ""
            raise TrainingError(f"setting {name} is {read[name]!r}; allowed: {words}a table of settings")
    return read


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{file}: is not TOML: {error}") from None
