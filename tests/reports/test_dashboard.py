"""What hangs, as the first page of each console counts it: the figures, and where each of them leads."""

import re
from collections.abc import Callable
from typing import Any

from django.test import Client

from apps.core.tenancy import in_public
from apps.orders import fulfilment
from apps.providers.models import OpenRequest
from apps.sandbox.control import Control
from tests.conftest import make_partner
from tests.orders.fixtures import shop
from tests.orders.shop import Shop

__all__ = ["shop"]
HANGS, STAFF, DOWN = "Не исполнено", "Нужен сотрудник", "Поставщики не отвечают"


def figures(client: Client, path: str = "/admin/") -> dict[str, dict[str, str]]:
    with in_public():
        page: Any = client.get(path)
    return {one["title"]: one for one in page.context["figures"]}


def rows(client: Client, url: str) -> int:
    """How many the page that a figure leads to lists."""
    with in_public():
        text = client.get(url).content.decode()
    return len(re.findall(r'class="cr-row\b', text))


def test_what_hangs_is_counted_and_leads_to_what_was_counted(
    shop: Shop, provider_sim: Control, staff: Callable[..., Client]
) -> None:
    own, platform, other = staff(shop.partner, "manager"), staff(None), staff(make_partner(), "manager")
    assert [figures(own)[name]["value"] for name in (HANGS, STAFF)] == ["0", "0"]
    assert figures(own)[HANGS]["note"] == ""
    before = figures(platform)
    provider_sim.fault("out_of_stock", times=100, match={"operation": "activate"})
    shop.buy(shop.offer())
    for _attempt in range(fulfilment.PATIENCE):
        shop.hurry()
    shop.buy(shop.offer(delivery="manual"))
    shop.buy(shop.offer())
    open_now = OpenRequest.objects.filter(partner_id=shop.partner.pk)
    assert sorted(open_now.values_list("state", flat=True)) == ["needs_staff", "needs_staff", "retry"]
    mine = figures(own)
    assert [mine[name]["value"] for name in (HANGS, STAFF)] == ["3", "2"]
    assert "старшее ждёт" in mine[STAFF]["note"]
    assert [rows(own, mine[name]["url"]) for name in (HANGS, STAFF)] == [3, 2]
    # A partner reads nothing of its provider's breaker; the platform counts over all of them.
    assert DOWN not in mine
    after = figures(platform)
    grown = {name: int(after[name]["value"]) - int(before[name]["value"]) for name in (HANGS, STAFF, DOWN)}
    assert grown == {HANGS: 3, STAFF: 2, DOWN: 0}
    assert after[STAFF]["url"].endswith("?state=needs_staff")
    assert [figures(other)[name]["value"] for name in (HANGS, STAFF)] == ["0", "0"]
