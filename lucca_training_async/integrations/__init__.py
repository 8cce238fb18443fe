"""Ways into other people's tools; a module for each, which needs the extra of its name."""
