"""Reference text that is made from the code at every build, where a page says `<!-- generated: WHAT -->`.

WHAT is `proto FILE` (the API, from the comments of a .proto file), `help PROGRAM` (a command line's own help) or
`settings flags` (the server's settings).
"""

import re
from pathlib import Path
from typing import Any

import help_pages
import proto_reference
import settings_table
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
_MARK = re.compile(r"^<!-- generated: (\w+) (\S.*) -->$", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(_app: Sphinx, _name: str, source: list[str]) -> None:
    source[0] = _MARK.sub(lambda mark: _text(mark[1], mark[2]), source[0])


def _text(kind: str, what: str) -> str:
    match kind:
        case "proto":
            return proto_reference.markdown(ROOT / "proto", what)
        case "help":
            return help_pages.markdown(what)
        case "settings":
            return settings_table.markdown()
    raise ValueError(f"{kind!r} is none of proto, help, settings")
