"""The status codes as a table in Markdown: code, HTTP, when, and what the caller can do."""

import inspect
import re
from collections.abc import Iterator

import vaeserve.errors
from server.edge.error_status import CODES
from server.edge.status import Code
from server.edge.web.connect import HTTP_STATUS

_COMMENT = re.compile(r"^    (\w+) = \d+(?:  # (.*))?$", re.MULTILINE)


def markdown() -> str:
    """A row for each error of the domain, by its docstring, or else for the code, by its comment."""
    return "\n".join(
        (
            "| code | HTTP | when | what the caller can do |",
            "|---|---|---|---|",
            *(row for c in Code for row in _rows(c)),
        )
    )


def _rows(code: Code) -> Iterator[str]:
    comments = dict(_COMMENT.findall(inspect.getsource(Code)))
    http = HTTP_STATUS.get(code, 200)
    errors = [error for error, its_code in CODES.items() if its_code is code]
    for error in errors:
        client = getattr(vaeserve.errors, error.__name__)
        yield f"| `{code.name}` | {http} | {error.__doc__} | {_remedy(client)} |"
    if not errors:
        clients = [kind for kind in vaeserve.errors.VaeServeError.__subclasses__() if kind.code == code.name]
        yield f"| `{code.name}` | {http} | {_sentence(comments[code.name])} | {_remedy(*clients)} |"


def _remedy(*clients: type[Exception]) -> str:
    """The class that the Python client raises, with its docstring."""
    return " ".join(f"`{client.__name__}`: {' '.join((client.__doc__ or '').split())}" for client in clients)


def _sentence(comment: str) -> str:
    return f"{comment[:1].upper()}{comment[1:]}." if comment else ""
