"""Sphinx settings."""

from importlib.metadata import version as installed_version

project = "lucca-training-async"
author = "The lucca-training-async authors"
copyright = f"2026, {author}"  # noqa: A001
release = version = installed_version("lucca-training-async")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Headings can be linked to.
myst_heading_anchors = 2
myst_enable_extensions = ["colon_fence"]
exclude_patterns = ["_build"]
nitpicky = True
# Their documentation is not at hand without the internet, so their names can't be links.
nitpick_ignore_regex = [
    # A type variable is no class.
    ("py:class", r"lucca_training_async\._lists\.\w+\.R"),
    ("py:.*", r"(asyncio|collections|contextlib|datetime|decimal|enum|typing)\..*"),
    ("py:.*", r"(aiohttp|dlt|fastapi|starlette|tenacity|yarl)\..*"),
]

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
