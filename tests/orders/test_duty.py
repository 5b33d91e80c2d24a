"""Who is on duty gets the letters about what waits, where it is their work; nobody on duty, and all whose it is do."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.journal.models import Entry
from apps.notifications import staff as letters
from apps.partners import duty
from apps.partners.models import Partner, Shift, StaffRole
from apps.sandbox.control import Control
from tests.conftest import make_partner
from tests.orders.shop import Shop
from tests.staff import staff

__all__ = ["staff"]
PAGE = "/admin/partners/staffrole/duty/"


def colleague(partner: Partner, role: str) -> User:
    email = f"{role}-{uuid4().hex[:10]}@duty.example.ru"
    with in_public():
        user = User.objects.create_user(email, is_staff=True, email=email)
        StaffRole.objects.create(user=user, partner=partner, role=role)
    return user


def told(shop: Shop, mailbox: Control, people: dict[str, User], *roles: str) -> set[str]:
    """Whom a new alert has reached, by the mail server's own word."""
    headline = f"Ждут {uuid4().hex[:8]}"
    letters.alert(key=headline, roles=roles, headline=headline, page="/admin/")
    shop.deliver()
    return {
        name
        for name, one in people.items()
        if any(headline in letter["subject"] for letter in mailbox.messages(to=one.email))
    }


def test_letters_go_to_those_on_duty_of_the_role_and_to_all_of_it_where_none_is(
    shop: Shop, mailbox: Control
) -> None:
    here = shop.partner
    people = {
        "anna": colleague(here, "support"),
        "boris": colleague(here, "support"),
        "vera": colleague(here, "finance"),
        "chief": colleague(here, "admin"),
    }
    anna, vera, chief = people["anna"], people["vera"], people["chief"]
    everybody = {"anna", "boris", "chief"}
    assert told(shop, mailbox, people, "support", "manager") == everybody
    duty.begin(anna, here, actor="anna")
    assert told(shop, mailbox, people, "support", "manager") == {"anna"}
    # Whose work it is not, hears nothing for that; and theirs is done by all of them still.
    assert told(shop, mailbox, people, "finance") == {"vera", "chief"}
    duty.begin(chief, here, actor="chief")
    assert told(shop, mailbox, people, "support", "manager") == {"anna", "chief"}
    assert told(shop, mailbox, people, "finance") == {"vera", "chief"}
    duty.end(anna, here, actor="anna")
    assert told(shop, mailbox, people, "support", "manager") == everybody
    # At another partner one is on duty there only; what nobody has ended is over by itself.
    elsewhere = make_partner()
    with in_public():
        StaffRole.objects.create(user=anna, partner=elsewhere, role="support")
    duty.begin(anna, elsewhere, actor="anna")
    assert told(shop, mailbox, people, "support") == everybody
    duty.begin(anna, here, actor="anna")
    hours = timedelta(hours=settings.SHIFT_HOURS)
    Shift.objects.filter(user=anna).update(since=clock.wall() - hours + timedelta(minutes=5))
    assert told(shop, mailbox, people, "support") == {"anna", "chief"}
    Shift.objects.filter(user=anna).update(since=clock.wall() - hours)
    assert told(shop, mailbox, people, "support") == everybody
    # Who has no letters, or works here no more, keeps none from others.
    duty.begin(anna, here, actor="anna")
    User.objects.filter(pk=anna.pk).update(is_active=False)
    assert told(shop, mailbox, people, "support") == {"boris", "chief"}
    with pytest.raises(Refused, match="no_role"):
        duty.begin(vera, elsewhere, actor="vera")


def test_one_comes_and_goes_by_a_button_and_an_administrator_sends_others(
    shop: Shop, staff: Callable[..., Client]
) -> None:
    support, finance, chief = (staff(shop.partner, role) for role in ("support", "finance", "admin"))

    def on_duty() -> set[int]:
        return {one.pk for one, since in duty.people(shop.partner) if since}

    def press(by: Client, who: Client, on: str) -> int:
        return by.post(PAGE, {"who": who.user.pk, "on": on}).status_code

    page = support.get(PAGE).content.decode()
    assert ("Сейчас на смене никого" in page, page.count('<button class="armor-button')) == (True, 1)
    assert (press(support, support, "1"), on_duty()) == (302, {support.user.pk})
    assert "Закончить смену" in support.get(PAGE).content.decode()
    assert (press(support, finance, "1"), press(finance, support, "")) == (403, 403)
    assert on_duty() == {support.user.pk}
    assert (press(chief, finance, "1"), on_duty()) == (302, {support.user.pk, finance.user.pk})
    assert chief.get(PAGE).content.decode().count('<button class="armor-button') == 3
    assert (press(chief, support, ""), press(finance, finance, "")) == (302, 302)
    assert on_duty() == set()
    noted = Entry.objects.filter(action__in=["duty.begun", "duty.ended"]).order_by("id")
    assert [(one.action, one.actor) for one in noted] == [
        ("duty.begun", support.user.username),
        ("duty.begun", chief.user.username),
        ("duty.ended", chief.user.username),
        ("duty.ended", finance.user.username),
    ]
    # Another partner's administrator has no hand in it.
    stranger = staff(make_partner(), "admin")
    assert (press(stranger, support, "1"), on_duty()) == (403, set())
    # Whose last role is taken is on duty no more.
    assert press(support, support, "1") == 302
    role = StaffRole.objects.get(user=support.user)
    chief.post(f"/admin/partners/staffrole/{role.pk}/delete/", {"post": "yes"})
    assert not Shift.objects.filter(user=support.user).exists()
