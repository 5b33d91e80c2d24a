"""Letters look like the storefront: its name, its colour where it can be read, its logo where mail shows it."""

import pytest

from apps import notifications
from apps.accounts import customers
from apps.notifications.models import Message
from apps.storefronts.colours import LETTER, READABLE, WHITE, contrast, in_letters
from apps.storefronts.models import Storefront
from tests.storefronts.test_console import PIXEL


def letter(key):
    anna = customers.register(email="anna@example.ru")
    notifications.send(
        "key_delivered",
        to_email=anna.email,
        customer_id=anna.pk,
        context={"product": "Антивирус Щит", "key": "AAAA-BBBB"},
        key=key,
    )
    return Message.objects.get(key=key).html


def test_a_letter_has_name_colour_and_logo(partner):
    Storefront.objects.update(name="Щит и Ко", colour="#be123c")
    html = letter("plain")
    assert "Щит и Ко" in html
    assert "#be123c" in html
    assert "<img" not in html

    Storefront.objects.update(logo=PIXEL, logo_type="image/png")
    assert f'<img src="{partner.url("/logo")}"' in letter("logo")
    Storefront.objects.update(logo_type="image/svg+xml")
    assert "<img" not in letter("svg")


@pytest.mark.parametrize("colour", ["#ffdd00", "#ffffff", "#9be7ff", "#000000", "#2563eb", "#00b341"])
def test_any_colour_can_be_read(partner, colour):
    shown = in_letters(colour)
    assert contrast(shown, LETTER) >= READABLE
    assert contrast(shown, WHITE) >= READABLE
    Storefront.objects.update(colour=colour)
    assert shown in letter(colour)
