"""The client's address is believed from our own proxies only."""

import pytest
from django.test import RequestFactory

from apps.core import addresses

PROXY, OTHER = "10.0.0.2", "203.0.113.9"


@pytest.mark.parametrize(
    ("remote", "forwarded", "client"),
    [
        (PROXY, "198.51.100.7", "198.51.100.7"),
        (PROXY, "1.1.1.1, 198.51.100.7", "198.51.100.7"),  # the client wrote the first one itself
        (PROXY, "1.1.1.1, 198.51.100.7, 10.0.0.3", "198.51.100.7"),  # two proxies of ours
        (PROXY, "", PROXY),
        (PROXY, "nonsense", PROXY),
        (PROXY, "198.51.100.7, nonsense", PROXY),
        (PROXY, "2001:db8::5", "2001:db8::5"),
        (OTHER, "198.51.100.7", OTHER),  # no proxy of ours
        ("::ffff:10.0.0.2", "198.51.100.7", "198.51.100.7"),
        ("", "198.51.100.7", None),  # a socket file
    ],
)
def test_who_asks(settings, remote, forwarded, client):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR=remote, **headers)
    assert addresses.of(request) == client


def test_nobody_is_trusted_by_default(settings):
    settings.TRUSTED_PROXIES = []
    request = RequestFactory().get("/", REMOTE_ADDR=PROXY, HTTP_X_FORWARDED_FOR="198.51.100.7")
    assert addresses.of(request) == PROXY


def test_a_household_of_ipv6_is_its_network():
    assert addresses.household("2001:db8::1") == addresses.household("2001:db8::2:1")
    assert addresses.household("2001:db8::1") != addresses.household("2001:db8:0:1::1")
    assert addresses.household("198.51.100.7") == "198.51.100.7"
