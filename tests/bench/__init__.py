"""The benchmark that ``nox -s bench`` runs: CPU, memory and time against their targets."""
