"""Settings of Sphinx: MyST, numpydoc, MathML, one theme; nothing that a reader's browser would have to fetch."""

from __future__ import annotations

from typing import Any

import elastic

#: Names of unions that signatures keep as they are written.
ALIASES = (
    "ArrayLike", "ClassNames", "Classifier", "Forward", "Given", "Labelled", "LossLike", "Output", "Position",
)  # fmt: skip

SETTINGS: dict[str, Any] = {
    "project": "elastic",
    "author": "The elastic developers",
    "copyright": "The elastic developers, Apache-2.0",
    "version": elastic.__version__,
    "release": elastic.__version__,
    "language": "en",
    "smartquotes": False,  # options of commands begin with two hyphens
    "extensions": [
        "myst_parser",
        "sphinx.ext.autodoc",
        "sphinx.ext.autosummary",
        "numpydoc",
        "sphinx_copybutton",
        "elastic.site.mathematics",
        "elastic.site.docstrings",
        "elastic.site.names",
    ],
    "exclude_patterns": ["repository/**"],
    "default_role": "obj",
    "nitpicky": True,
    # Types and names of other packages have no page here, and no inventory is fetched: they are shown as code.
    "nitpick_ignore_regex": [("py:.*", ".*")],
    "add_module_names": False,
    "toc_object_entries_show_parents": "hide",
    # MyST
    "myst_enable_extensions": ["dollarmath", "amsmath", "deflist", "colon_fence", "attrs_inline"],
    "myst_heading_anchors": 3,
    # docstrings
    "autodoc_member_order": "bysource",
    "autodoc_typehints": "signature",
    "autodoc_preserve_defaults": True,
    "autodoc_type_aliases": {name: name for name in ALIASES},
    "autosummary_generate": False,
    "numpydoc_show_class_members": False,
    "numpydoc_class_members_toctree": False,
    "numpydoc_xref_param_type": False,
    "maximum_signature_line_length": 88,
    # pages
    "html_theme": "furo",
    "html_title": f"elastic {elastic.__version__}",
    "html_static_path": ["_static"],
    "html_css_files": ["site.css"],
    "html_math_renderer": "mathml",
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "copybutton_prompt_text": r">>> |\.\.\. |\$ ",
    "copybutton_prompt_is_regexp": True,
    "pygments_style": "tango",
}
