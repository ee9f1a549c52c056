"""How `make docs` builds the site."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "vaeserve"
author = "the vaeserve authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings", "generated", "mathml", "outside"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "vaeserve"
html_math_renderer = "mathml"
html_copy_source = False
smartquotes = False  # `--port` in running text is no dash
html_show_copyright = False
html_last_updated_fmt = None

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
# `mailto:` and the like are links; what has no scheme is a file or a heading here, and has to exist.
myst_url_schemes = ["http", "https"]

default_role = "code"
nitpicky = True
# Others' types have their own documentation, and building ours fetches nothing.
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|collections|typing|grpc|torch|PIL|os)\b.*"),
    ("py:.*", r"ArrayLike|Generator|AsyncGenerator|Awaitable|Image|Tensor"),
]
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
