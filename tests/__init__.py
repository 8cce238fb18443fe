"""The test suite: real sockets on loopback, simulated time."""
