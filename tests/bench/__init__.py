"""The benchmark that ``nox -s bench`` runs: all that we measure, against its target."""
