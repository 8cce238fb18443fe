"""What clients cost and lose that one would take otherwise: ``nox -s bench -- peers``."""
