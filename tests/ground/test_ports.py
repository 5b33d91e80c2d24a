"""Ports for what is started beside the tests: nobody else is given them before it listens."""

from pathlib import Path

from armor.ports import OURS, free_port


def test_a_port_is_given_once_and_lent_to_no_outgoing_connection() -> None:
    given = [free_port() for _ in range(500)]
    assert len(set(given)) == 500
    assert all(port in OURS for port in given)
    lent = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if lent.exists() and int(lent.read_text().split()[0]) >= OURS.stop:
        assert max(given) < int(lent.read_text().split()[0])


def test_a_preferred_port_is_kept_where_it_is_free() -> None:
    port = free_port()
    assert free_port(port) == port
    assert free_port(port, taken=frozenset({port})) != port
