"""The benchmark that ``nox -s bench`` runs: CPU, memory, time and shared budgets against their targets."""
