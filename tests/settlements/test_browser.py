"""Finance reconciles in a real browser: the month, a day that differs, a register, a payout, the tick.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.payments.models import Payment
from apps.settlements import gateway_terms
from apps.settlements.models import Difference, GatewayDay
from tests.catalog.test_console_browser import keep
from tests.payments.gateways import YOOKASSA, GatewayKind
from tests.policies.test_dunning_browser import PHONE, fits
from tests.settlements.test_payouts import D, Desk, desk_for, pay
from tests.test_browser_walk import _sign_in, page, site

__all__ = ["desk_for", "page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_day_is_explained_and_closed(page: Any, site: str, desk_for: Callable[[GatewayKind], Desk]) -> None:
    desk = desk_for(YOOKASSA)
    payment, _other = pay(desk), pay(desk)
    desk.settles()
    row = desk.check()
    before = row.day - timedelta(days=2)
    with in_public():
        GatewayDay.objects.create(connection=desk.till.connection, day=before, checked_at=row.checked_at)
    desk.came(row.net.amount - D("1.50"), f"Перечисление за {row.day:%d.%m.%Y}", number="4711")
    Payment.objects.filter(pk=payment.pk).update(fee=D("0.01"))
    desk.till.gateway.cabinet_refund(payment.gateway_id, "5.00")
    desk.check()
    _sign_in(page, site)
    page.goto(f"{site}/admin/settlements/gatewayday/")
    page.get_by_text("Сверка по дням").wait_for()
    keep(page, "reconciliation-month")
    page.get_by_role("link", name="3", exact=True).first.click()
    page.get_by_text("Другая комиссия").wait_for()
    keep(page, "reconciliation-day")
    page.set_viewport_size(PHONE)
    assert fits(page)
    keep(page, "reconciliation-day-phone")
    page.set_viewport_size({"width": 1280, "height": 900})
    for _number in range(3):
        page.get_by_role("link", name="Объяснить").first.click()
        page.fill("input[name=note]", "Выяснили с банком")
        page.get_by_role("button", name="Объяснить").click()
        page.get_by_text("Выяснили с банком").first.wait_for()
    page.get_by_role("link", name="Закрыть день").click()
    page.get_by_role("button", name="Закрыть день").click()
    page.get_by_text("День закрыт").first.wait_for()
    keep(page, "reconciliation-closed")
    row.refresh_from_db()
    assert row.state == "closed"
    assert Difference.objects.filter(day=row, explained_at=None).count() == 0
    payout = row.payout
    assert payout is not None
    page.goto(f"{site}/admin/settlements/gatewaypayout/{payout.pk}/change/")
    page.get_by_text(str(Money(payout.amount))).first.wait_for()
    keep(page, "payout")
    page.goto(f"{site}/admin/settlements/gatewayday/upload/")
    keep(page, "register-upload")
    page.goto(
        f"{site}/admin/settlements/gatewayterms/{gateway_terms.terms_of(desk.till.connection).pk}/change/"
    )
    keep(page, "gateway-terms")
    page.goto(f"{site}/admin/settlements/bankline/?state__exact=unidentified")
    keep(page, "unidentified")
