"""Guessing a password of staff comes to an end, at both consoles and in every process."""

import itertools
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from apps.core import throttle
from apps.core.errors import Refused
from apps.core.models import Attempt
from apps.core.staff_sign_in import ADDRESS, PAIR
from apps.core.tasks import housekeeping
from apps.core.tenancy import in_public
from apps.partners.models import StaffRole
from tests.accounts.at_once import at_once

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _fresh(settings):
    Attempt.objects.all().delete()
    # How slowly a password is hashed is not asked here.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def anna(partner):
    with in_public():
        user = User.objects.create_user(f"anna-{next(_numbers)}", password=PASSWORD, is_staff=True)
        StaffRole.objects.create(user=user, partner=None, role="admin")
    return user


@pytest.fixture(params=["operator", "partner", "switched"])
def door(request, partner, client_for):
    """Signs in with a password from an address, at one of the consoles."""
    client = client_for(None if request.param != "partner" else partner)
    url = f"/p/{partner.slug}/admin/login/" if request.param == "switched" else "/admin/login/"

    def sign_in(name, password, address="198.51.100.1"):
        return client.post(
            url, {"username": name, "password": password}, headers={"X-Forwarded-For": address}
        )

    return sign_in


def test_five_wrong_passwords_close_the_door_for_this_address(anna, door):
    for _try in range(PAIR.count):
        assert door(anna.username, "wrong").status_code == 200
    refused = door(anna.username, PASSWORD)
    assert refused.status_code == 429
    assert "Слишком много неудачных попыток входа. Попробуйте через 15 мин." in refused.content.decode()
    # A stranger cannot lock her out elsewhere.
    assert door(anna.username, PASSWORD, "198.51.100.2").status_code == 302


def test_the_door_opens_again_after_a_quarter_of_an_hour(anna, door):
    for _try in range(PAIR.count):
        door(anna.username, "wrong")
    Attempt.objects.update(made_at=timezone.now() - timedelta(minutes=15))
    assert door(anna.username, PASSWORD).status_code == 302


def test_a_right_password_wipes_the_slate(anna, door):
    for _try in range(PAIR.count - 1):
        door(anna.username, "wrong")
    assert door(anna.username.upper(), "wrong").status_code == 200
    Attempt.objects.all().delete()
    for _try in range(PAIR.count - 1):
        door(anna.username, "wrong")
    assert door(anna.username, PASSWORD).status_code == 302
    assert Attempt.objects.count() == 2 * (PAIR.count - 1)  # of the address and of the name; none of the pair


def test_many_names_from_one_address(partner, client_for):
    for _name in range(ADDRESS.count):
        throttle.take([(ADDRESS, "198.51.100.9")], code="x", message="%(minutes)d")
    page = client_for().post(
        "/admin/login/",
        {"username": "somebody", "password": "x"},
        headers={"X-Forwarded-For": "198.51.100.9"},
    )
    assert page.status_code == 429


def test_eight_at_once_are_five(partner):
    limit = throttle.Limit("test", 5, timedelta(minutes=1))

    def one():
        try:
            throttle.take([(limit, "somebody")], code="x", message="%(minutes)d")
        except Refused:
            return False
        return True

    assert sum(at_once(partner, [one] * 8)) == 5


def test_what_no_limit_looks_at_is_dropped():
    with transaction.atomic():
        throttle.take([(PAIR, "old")], code="x", message="%(minutes)d")
        Attempt.objects.update(made_at=timezone.now() - throttle.KEPT - timedelta(seconds=1))
        throttle.take([(PAIR, "new")], code="x", message="%(minutes)d")
    housekeeping()
    assert Attempt.objects.count() == 1
