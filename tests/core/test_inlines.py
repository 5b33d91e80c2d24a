"""Rows below an object in the console are there for staff with roles, not for superusers only."""

from typing import Any

import pytest

from apps.channels.models import Channel
from apps.core import console
from apps.core.tenancy import in_public
from tests.staff import staff
from tests.storefronts.conftest import shop

__all__ = ["shop", "staff"]


def test_every_page_and_every_row_of_both_consoles_asks_for_roles() -> None:
    for site in (console.operator_site, console.partner_site):
        for page in site._registry.values():
            assert isinstance(page, console.ConsoleAdmin), page
            for inline in page.inlines:
                assert issubclass(inline, console.ConsoleInline), inline


@pytest.mark.parametrize("role", ["admin", "manager", "support"])
def test_parameters_and_versions_are_there_for_the_platforms_staff(shop: Any, staff: Any, role: str) -> None:
    product = f"/admin/catalog/product/{shop.product.pk}/change/"
    tariff = f"/admin/catalog/tariff/{shop.offer.tariff_id}/change/"
    with in_public():
        client = staff(None, role)
        assert "parameters-TOTAL_FORMS" in client.get(product).content.decode()
        assert "versions-TOTAL_FORMS" in client.get(tariff).content.decode()


def test_a_manager_chooses_what_a_channel_sells_and_takes_it_back(shop: Any, staff: Any) -> None:
    channel = Channel.objects.get(code="api")
    page = f"/admin/channels/channel/{channel.pk}/change/"
    given = {"name": "API", "kind": "api", "is_active": "on"}
    with in_public():
        assert "chosen-TOTAL_FORMS" in staff(shop.partner, "support").get(page).content.decode()
        client = staff(shop.partner, "manager")
        assert "chosen-TOTAL_FORMS" in client.get(page).content.decode()
        new = {"chosen-TOTAL_FORMS": 1, "chosen-INITIAL_FORMS": 0, "chosen-0-offer": shop.offer.pk}
        assert client.post(page, {**given, **new}).status_code == 302
    chosen = channel.chosen.get()
    assert list(channel.offers()) == [shop.offer]
    with in_public():
        gone = {
            "chosen-TOTAL_FORMS": 1,
            "chosen-INITIAL_FORMS": 1,
            "chosen-0-id": chosen.pk,
            "chosen-0-channel": channel.pk,
            "chosen-0-offer": shop.offer.pk,
            "chosen-0-DELETE": "on",
        }
        assert client.post(page, {**given, **gone}).status_code == 302
    assert not channel.chosen.exists()
