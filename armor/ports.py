"""Free TCP ports on the loopback address, so that two checkouts can run side by side."""

import secrets
import socket

OURS = range(20_000, 32_768)
"""Below what Linux lends to outgoing connections by default (ip_local_port_range), and macOS and IANA too."""
_given: set[int] = set()


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None, *, taken: frozenset[int] = frozenset()) -> int:
    """The preferred port where it is free and not among `taken`, else any free one.

    No number twice from one process, and none of those that the system lends to outgoing connections: whoever asks
    listens a while later, and may leave the port and come back to it after a crash.
    """
    if preferred and preferred not in taken and is_free(preferred):
        return preferred
    while True:
        port = secrets.choice(OURS)
        if port not in taken | _given and is_free(port):
            _given.add(port)
            return port
