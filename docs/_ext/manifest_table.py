"""The keys of an artifact's manifest.json as a table in Markdown, from the comments above the fields."""

import inspect
import re
from collections.abc import Iterator

from server.artifact import Graph, Item, Likelihood, Manifest

_COMMENTED = re.compile(r"((?:^    # .*\n)+)    (\w+): ", re.MULTILINE)
_INSIDE = {"item": ("item.", Item), "likelihood": ("likelihood.", Likelihood), "graphs": ("graphs.NAME.", Graph)}


def markdown() -> str:
    """One row for each key, in the order of the code; what an object holds under the object's name."""
    return "\n".join(("| key | meaning |", "|---|---|", *_rows(Manifest, "")))


def _rows(kind: type, prefix: str) -> Iterator[str]:
    comments = {
        name: re.sub(r"\s*# ", " ", comment).strip() for comment, name in _COMMENTED.findall(inspect.getsource(kind))
    }
    for name in inspect.get_annotations(kind):
        if name in comments:
            yield f"| `{prefix}{name}` | {comments[name]} |"
        if name in _INSIDE:
            inner_prefix, inner = _INSIDE[name]
            yield from _rows(inner, inner_prefix)
        elif name not in comments:
            raise ValueError(f"{kind.__name__}.{name} has no comment")
