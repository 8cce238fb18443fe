"""The version of the package, which stands in pyproject.toml."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lucca-training-async")
except PackageNotFoundError:  # a zip, a copied folder, a bundle: there is none to be read
    __version__ = "unknown"
