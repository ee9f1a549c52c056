"""Links from a page to the repository's other files, such as `../../SECURITY.md`: plain text on the site, where those
files are not. One that leads nowhere is a warning.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]+)(#[^)]*)?\)")
_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _unlink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _unlink(app: Sphinx, page: str, source: list[str]) -> None:
    def replaced(link: re.Match[str]) -> str:
        target = (app.srcdir / page).parent.joinpath(link[2]).resolve()
        if target.is_relative_to(Path(app.srcdir).resolve()):
            return link[0]
        if not target.exists():
            _log.warning("no such file: %s", link[2], location=page)
        return link[1]

    source[0] = _LINK.sub(replaced, source[0])
