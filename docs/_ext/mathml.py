"""Formulas as MathML, which browsers draw themselves: no script, and nothing fetched."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_TAG = re.compile(r"\\tag\{([^}]*)\}")
_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node, node.astext()))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """A displayed formula, with the number that its \\tag gives it."""
    formula = node.astext()
    number = _TAG.search(formula)
    label = f'<span class="eqno">({number[1]})</span>' if number else ""
    translator.body.append(f'<div class="math">{label}{_mathml(node, _TAG.sub("", formula), block=True)}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, formula: str, *, block: bool = False) -> str:
    try:
        return str(tex2mathml(formula, as_block=block))
    except MathError as error:
        _log.warning("%s in %r", error, formula, location=node)
        return ""
