"""How ``make docs`` builds the site: pages of this folder, those that :mod:`made_pages` makes of the project, the API."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))

import made_pages

made_pages.write(Path(__file__).parent)

project = "physzoo"
author = "the physzoo developers"
version = release = version_of("physzoo")
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_design",
]
exclude_patterns = ["_build", ".jupyter_cache", "jupyter_execute", f"{made_pages.MADE}/static"]
html_theme = "pydata_sphinx_theme"
html_title = "physzoo"
html_static_path = ["_static", f"{made_pages.MADE}/static"]
html_css_files = ["site.css"]
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
# What pages say of files of the project is true where they lie; a built site has them as downloads.
myst_enable_extensions = ["colon_fence", "dollarmath", "fieldlist"]
myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto", "path"]
# Notebooks run here, and what they show is kept until their cells or the code of the zoo change; an error ends the build.
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).with_name(".jupyter_cache") / made_pages.code_hash())
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 600  # seconds a cell
nb_merge_streams = True
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
nitpicky = False


def setup(app) -> None:
    """Point links of pages at what the site has."""
    app.connect("source-read", made_pages.with_links_of_the_site)
