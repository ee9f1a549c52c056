"""Reference text that is made from the code at every build, where a page says `<!-- generated: WHAT -->`.

WHAT is `proto FILE` (the API, from the comments of a .proto file), `help PROGRAM` (a command line's own help), or one
of the tables below. `python docs/_ext/generated.py WHAT` prints it.
"""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
TABLES = {  # what: module and function
    ("settings", "server"): ("settings_table", "markdown"),
    ("settings", "training"): ("training_tables", "settings"),
    ("presets", "training"): ("training_tables", "presets_table"),
    ("metrics", "server"): ("metrics_table", "markdown"),
    ("codes", "server"): ("status_table", "markdown"),
    ("keys", "manifest"): ("manifest_table", "markdown"),
}
_MARK = re.compile(r"^<!-- generated: (\w+) (\S.*) -->$", re.MULTILINE)


def setup(app: "Sphinx") -> dict[str, Any]:
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(_app: "Sphinx", _name: str, source: list[str]) -> None:
    source[0] = _MARK.sub(lambda mark: text(mark[1], mark[2]), source[0])


def text(kind: str, what: str) -> str:
    """The text in Markdown. Imports only what it needs: training's imports take seconds."""
    if kind == "proto":
        return str(import_module("proto_reference").markdown(ROOT / "proto", what))
    if kind == "help":
        return str(import_module("help_pages").markdown(what))
    if (kind, what) not in TABLES:
        allowed = ", ".join(map(" ".join, TABLES))
        raise ValueError(f"{kind} {what} is none of: proto FILE, help PROGRAM, {allowed}")
    module, function = TABLES[kind, what]
    return str(getattr(import_module(module), function)())


if __name__ == "__main__":
    sys.stdout.write(text(sys.argv[1], " ".join(sys.argv[2:])) + "\n")
