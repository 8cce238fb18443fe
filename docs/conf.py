"""Sphinx settings."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "lucca-training-async"
author = "The lucca-training-async authors"
copyright = f"2026, {author}"  # noqa: A001
release = version = installed_version("lucca-training-async")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "_site",
]
# Headings can be linked to.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
exclude_patterns = ["_build", "_inventories"]
python_use_unqualified_type_names = True
nitpicky = True
nitpick_ignore_regex = [
    # A type variable is no class.
    ("py:.*", r"R|lucca_training_async\._lists\.\w+\.R"),
    # Their names can't be links: they are needed for an integration only.
    ("py:.*", r"(dlt|fastapi|starlette|yarl)\..*"),
]

# Lists of names that we keep ourselves, so that a build needs no internet: see _inventories/README.
intersphinx_mapping = {
    name: (url, f"_inventories/{name}.inv")
    for name, url in {
        "python": "https://docs.python.org/3",
        "aiohttp": "https://docs.aiohttp.org/en/stable",
        "attrs": "https://www.attrs.org/en/stable",
        "tenacity": "https://tenacity.readthedocs.io/en/latest",
    }.items()
}

# The page about dlt tells of our source for it, and not everybody has dlt.
autodoc_mock_imports = ["dlt"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = False

html_theme = "furo"
html_title = f"lucca-training-async {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False

# What an example prints is there to be read.
copybutton_selector = "div:not(.highlight-text, .highlight-none) > div.highlight pre"
# Of a session in a terminal the commands are copied, without their prompt.
copybutton_prompt_text = "$ "
