"""A folder of models: which versions lie in it, and what models.toml, if it is there, says of them."""

import tomllib
from pathlib import Path

from server.errors import ArtifactError

PREFERENCES = "models.toml"


def versions(folder: Path) -> list[tuple[str, str, Path]]:
    """(model, version, path), models by name and versions newest first."""
    found = []
    for model in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        numbered = [p for p in model.iterdir() if p.is_dir() and p.name.isascii() and p.name.isdigit()]
        found += [(model.name, p.name, p) for p in sorted(numbered, key=lambda p: int(p.name), reverse=True)]
    return found


def preferred_model(folder: Path) -> str:
    """`default` of models.toml: the model for requests that name none; empty if nothing is said.

    Raises ArtifactError if the file is not TOML or says anything else.
    """
    file = folder / PREFERENCES
    try:
        facts = tomllib.loads(file.read_text())
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file}: cannot be read as TOML: {error}") from error
    for name, value in facts.items():
        if name != "default":
            raise ArtifactError(f"{file}: unknown key {name!r}; allowed: default")
        if not isinstance(value, str):
            raise ArtifactError(f"{file}: default is {value!r}; it must be the name of a model")
    return str(facts.get("default", ""))
