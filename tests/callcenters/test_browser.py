"""In a browser: the card of a caller opens by itself for the agent who answers."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from apps.accounts import customers
from apps.core.tenancy import in_public
from apps.partners.models import StaffRole
from tests.callcenters.test_calls import call, call_centre
from tests.staff import PASSWORD
from tests.storefronts.conftest import site

__all__ = ["call_centre", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_card_opens_for_the_agent_who_answers(
    partner: Any, call_centre: Any, chromium: Any, site: Any
) -> None:
    caller = customers.register(phone="+79161234588", name="Ольга")
    with in_public():
        user = User.objects.create_user(f"agent-{partner.pk}", password=PASSWORD, is_staff=True)
        StaffRole.objects.create(user=user, partner=None, role="support")
    address = site(partner).replace(f"{partner.slug}.", "", 1)
    context = chromium.new_context(locale="ru-RU")
    page = context.new_page()
    page.goto(f"{address}/admin/reports/search/calls/")
    page.locator("[name=username]").fill(user.username)
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_text("Карточка открывается сама").wait_for()

    asked = {"call_id": f"b-{partner.pk}", "phone": caller.phone}
    call(call_centre, **asked, state="ringing", at="2026-03-01T10:00:00+03:00")
    page.get_by_role("link", name="Ольга").wait_for()
    assert page.url.endswith("/calls/")
    answered = {**asked, "state": "answered", "agent": user.username}
    call(call_centre, **answered, at="2026-03-01T10:00:05+03:00")
    page.wait_for_url(f"**/p/{partner.slug}/admin/accounts/customer/{caller.pk}/change/")
    assert "+79161234588" in page.content()
    context.close()
