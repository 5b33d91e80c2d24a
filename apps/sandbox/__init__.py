"""Simulators of the outside world: each speaks a real protocol over real sockets and misbehaves on demand."""
