"""What the clients cost and lose that one would take otherwise: ``nox -s peers``, docs/peers.md."""
