"""What partner and provider earn by dated terms: percent or fixed, of gross, net or what the fee leaves."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal as D
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.billing import credits, economics, subscriptions, terms
from apps.billing.models import CreditReason
from apps.catalog.models import ProviderTerms, Trade
from apps.core import audit, clock
from apps.core.money import Money, vat_inside
from apps.core.tenancy import in_public
from apps.ledger.models import Transfer
from apps.partners.models import ContractTerms
from apps.payments import payments
from apps.payments.models import Payment
from apps.providers.models import Provider
from tests.billing.test_renewals import balance
from tests.orders.shop import Shop

PAST = date(2020, 1, 1)


def clean(shop: Shop) -> bool:
    return list(audit.run([shop.partner.pk])) == []


def agree(shop: Shop, **share: Any) -> None:
    ContractTerms.objects.create(partner=shop.partner, number="Д-1", valid_from=PAST, **share)


def supply(shop: Shop, **cost: Any) -> ProviderTerms:
    given = {"number": "П-1", "valid_from": PAST, **cost}
    return ProviderTerms.objects.create(provider=shop.provider, **given)


def left(shop: Shop) -> dict[str, D]:
    names = (
        "partner_payable",
        "provider_payable",
        "partner_share",
        "provider_cost",
        "agency",
        "deferred",
        "vat",
    )
    return {name: found for name in names if (found := balance(shop, name))}


@pytest.mark.parametrize("on", ["payment", "service"])
def test_earned_with_the_payment_or_with_the_service(shop: Shop, on: str) -> None:
    agree(shop, share_percent=D(20), share_base="gross", share_fixed=D("1.50"), earned_on=on)
    supply(shop, percent=D(10), fixed=D("3.00"), earned_on=on)
    subscription = shop.buy(shop.offer(price="122.00"))
    # 20 % of 122.00 and 1.50; 10 % of 100.00 and 3.00.
    now = (D("25.90"), D("13.00")) if on == "payment" else (D(0), D(0))
    assert (balance(shop, "partner_share"), balance(shop, "provider_cost")) == now
    assert clean(shop)
    shop.until(subscription.current_period_end - timedelta(days=3))
    paid = Payment.objects.get(subscription_id=subscription.pk)
    payments.refund(payment=paid, amount=Money(D("61.00")), reason="-", actor="")
    shop.deliver()
    assert clean(shop)
    shop.until(subscription.current_period_end)
    second = (D("25.90"), D("13.00")) if on == "payment" else (D(0), D(0))
    # Half of the first month went back.
    assert balance(shop, "partner_share") == D("12.95") + second[0]
    assert balance(shop, "provider_cost") == D("6.50") + second[1]
    assert clean(shop)


@pytest.mark.parametrize("on", ["payment", "service"])
def test_after_its_window_a_refund_leaves_the_partner_its_share(shop: Shop, on: str) -> None:
    agree(shop, share_percent=D(20), share_base="gross", clawback_days=14, earned_on=on)
    subscription = shop.buy(shop.offer(price="122.00"))
    line, paid = subscription.lines.get(), Payment.objects.get(subscription_id=subscription.pk)
    assert line.terms["share_days"] == 14
    bought = clock.today()

    def back(amount: str) -> None:
        payments.refund(payment=paid, amount=Money(D(amount)), reason="-", actor="")
        shop.hurry()
        assert clean(shop)

    # 24.40 of 122.00: on the last day of the window half of it goes back, on the next day nothing.
    shop.until(bought + timedelta(days=14))
    back("61.00")
    kept = D("12.20")
    assert balance(shop, "partner_share") == (kept if on == "payment" else D(0))
    shop.until(bought + timedelta(days=15))
    back("30.50")
    with transaction.atomic():
        part = credits.Part(line.pk, D("10.00"))
        credits.issue(invoice=line.invoice, parts=[part], reason=CreditReason.CORRECTION, key="late")
    assert clean(shop)
    assert balance(shop, "partner_share") == (kept if on == "payment" else D(0))
    subscriptions.cancel(subscription, actor="test")
    shop.until(line.period_end)
    assert balance(shop, "partner_share") == kept
    back("20.50")
    assert balance(shop, "partner_share") == kept
    assert balance(shop, "revenue") == D(0)


def test_terms_without_a_window_or_that_take_nothing_back_have_none(shop: Shop) -> None:
    assert "share_days" not in terms._share(ContractTerms(number="1"))
    assert "share_days" not in terms._share(ContractTerms(number="1", clawback=False, clawback_days=14))
    assert terms._share(ContractTerms(number="1", clawback_days=0))["share_days"] == 0


def test_a_mixture_of_notes_and_refunds_leaves_nothing_behind(shop: Shop) -> None:
    agree(shop, share_percent=D("7.77"))
    supply(shop, percent=D("33.33"), fixed=D("0.07"))
    subscription = shop.buy(shop.offer(price="149.00", vat_code="reduced"))
    line = subscription.lines.get()
    paid = Payment.objects.get(subscription_id=subscription.pk)
    for number, amount in enumerate(("33.33", "0.01", "49.99")):
        with transaction.atomic():
            credits.issue(
                invoice=line.invoice,
                parts=[credits.Part(line.pk, D(amount))],
                reason=CreditReason.CORRECTION,
                key=f"part-{number}",
            )
        payments.refund(payment=paid, amount=Money(D("7.77")), reason="-", actor="")
        shop.deliver()
        assert clean(shop)
    line.refresh_from_db()
    rest = D("149.00") - 3 * D("7.77") - line.credited
    payments.refund(payment=paid, amount=Money(rest), reason="-", actor="")
    shop.deliver()
    assert left(shop) == {"partner_payable": balance(shop, "partner_payable")}
    # All that is left there is the money that the partner's own gateway holds.
    assert balance(shop, "partner_payable") == line.credited
    assert clean(shop)


def test_a_provider_keeps_what_a_key_cost(shop: Shop) -> None:
    supply(shop, fixed=D("30.00"), clawback=False)
    subscription = shop.buy(shop.offer(price="122.00"))
    payments.refund(payment=Payment.objects.get(subscription_id=subscription.pk), reason="-", actor="")
    shop.deliver()
    assert (balance(shop, "provider_payable"), balance(shop, "provider_cost")) == (-D("30.00"), D("30.00"))
    assert clean(shop)


def test_an_agent_earns_its_commission_alone(shop: Shop) -> None:
    supply(shop, trade=Trade.AGENCY, percent=D(10), base="gross")
    subscription = shop.buy(shop.offer(price="300.00", vat_code="none"))
    # 30.00 is ours, 5.41 of it VAT; the rest is the principal's.
    assert left(shop) == {
        "partner_payable": D("300.00"),
        "provider_payable": -D("270.00"),
        "deferred": -D("24.59"),
        "vat": -D("5.41"),
    }
    shop.until(subscription.current_period_end)
    assert balance(shop, "revenue") == -D("24.59")
    first = Payment.objects.filter(subscription_id=subscription.pk).earliest("pk")
    payments.refund(payment=first, amount=Money(D("100.01")), reason="-", actor="")
    shop.deliver()
    assert clean(shop)
    payments.refund(payment=first, reason="-", actor="")
    shop.deliver()
    # The second month alone is left.
    assert (balance(shop, "revenue"), balance(shop, "provider_payable")) == (0, -D("270.00"))
    assert (balance(shop, "vat"), balance(shop, "agency")) == (-D("5.41"), 0)
    assert clean(shop)


def test_the_narrowest_and_newest_terms_count(shop: Shop) -> None:
    offer = shop.offer()
    product, today = offer.tariff.product, clock.today()
    supply(shop, percent=D(1))
    for_product = supply(shop, percent=D(2), product=product)
    newer = supply(shop, percent=D(3), product=product, valid_from=today)
    asked = {"product_id": product.pk, "tariff_version_id": offer.tariff.current_id}
    in_force = ProviderTerms.objects.in_force
    assert in_force(**asked, day=today) == newer
    assert in_force(**asked, day=today - timedelta(days=1)) == for_product
    for_tariff = supply(shop, percent=D(4), tariff=offer.tariff)
    assert in_force(**asked, day=today) == for_tariff
    other = shop.offer()
    asked = {"product_id": other.tariff.product_id, "tariff_version_id": other.tariff.current_id}
    assert in_force(**asked, day=today).percent == D(1)
    assert in_force(**asked, day=PAST - timedelta(days=1)) is None


def test_terms_in_force_stay_as_they_are(shop: Shop) -> None:
    today = supply(shop, valid_from=clock.wall().date())
    coming = supply(shop, valid_from=clock.wall().date() + timedelta(days=3))
    table = "catalog_providerterms"
    for change in (
        f"UPDATE {table} SET percent = 6 WHERE id = {today.pk}",
        f"DELETE FROM {table} WHERE id = {today.pk}",
        f"TRUNCATE {table}",
    ):
        with in_public(), pytest.raises(IntegrityError, match="refused"), transaction.atomic():
            connection.cursor().execute(change)
    with in_public():
        connection.cursor().execute(f"UPDATE {table} SET percent = 6 WHERE id = {coming.pk}")
        connection.cursor().execute(f"DELETE FROM {table} WHERE id = {coming.pk}")


def test_finance_sets_terms_in_the_console(shop: Shop, staff_client: Callable[..., Client]) -> None:
    with in_public():
        provider = Provider.objects.get(pk=shop.provider.pk)
    form = {
        "provider": provider.pk,
        "number": "П-9",
        "valid_from": "2099-01-01",
        "trade": "resale",
        "percent": "12.5",
        "base": "net",
        "fixed": "0",
        "earned_on": "payment",
        "clawback": "on",
        "vat_code": "standard",
    }
    finance, support = staff_client(None, role="finance"), staff_client(None, role="support")
    page = "/admin/catalog/providerterms/add/"
    assert support.post(page, form).status_code == 403
    wrong = finance.post(page, {**form, "percent": "120"})
    assert (wrong.status_code, "от 0 до 100" in wrong.content.decode()) == (200, True)
    assert finance.post(page, form).status_code == 302
    made = ProviderTerms.objects.get(number="П-9")
    assert (made.percent, made.clawback) == (D("12.5"), True)


AMOUNTS = st.decimals(min_value="0.01", max_value="99999.99", places=2)
PERCENT = st.decimals(min_value=0, max_value=100, places=2)


@settings(max_examples=300, deadline=None)
@given(
    amount=AMOUNTS,
    share=PERCENT,
    cost=PERCENT,
    fixed=st.decimals(min_value=0, max_value=50, places=2),
    agency=st.booleans(),
    rate=st.sampled_from([None, D(10), D(22)]),
    cuts=st.lists(st.decimals(min_value="0.01", max_value=1, places=2), max_size=5),
)
def test_parts_taken_back_are_the_whole(
    amount: D, share: D, cost: D, fixed: D, agency: bool, rate: D | None, cuts: list[D]
) -> None:
    agreed = {
        "share_percent": str(share),
        "share_base": "net",
        "cost_percent": str(cost),
        "cost_base": "gross",
        "cost_fixed": str(fixed),
    }
    if agency:
        agreed |= {"trade": "agency", "commission_vat_rate": "22"}
    line: Any = SimpleNamespace(amount=amount, vat=vat_inside(amount, rate), terms=agreed)
    earned = economics.earned(line, D(0), amount, economics.PAYMENT)
    gone, back = D(0), dict.fromkeys((one.name for one in earned), D(0))
    for cut in [*cuts, D(1)]:
        becomes = gone + ((amount - gone) * cut).quantize(D("0.01"))
        for one in economics.taken_back(line, D(0), gone, becomes, moments=(economics.PAYMENT,)):
            assert one.amount >= 0
            back[one.name] += one.amount
        if agency:
            three = sum(back[name] for name in ("principal", "commission", "commission_vat"))
            assert three == becomes
        gone = becomes
    assert back == {one.name: one.amount for one in earned}


def test_fixed_sums_follow_the_pieces_of_a_period() -> None:
    agreed = {"cost_fixed": "30.00", "cost_percent": "0"}
    two = terms.of_line(agreed, gross=D("298.00"), price=D("149.00"), quantity=2)
    third = terms.of_line(agreed, gross=D("49.67"), price=D("149.00"), quantity=1)
    free = terms.of_line(agreed, gross=D(0), price=D(0), quantity=3)
    assert [one["cost_fixed"] for one in (two, third, free)] == ["60.00", "10.00", "90.00"]
    plain: dict[str, Any] = {"cost_percent": "5"}
    assert terms.of_line(plain, gross=D(1), price=D(1), quantity=1) is plain


def test_what_was_posted_carries_its_dimensions(shop: Shop) -> None:
    supply(shop, percent=D(10))
    subscription = shop.buy(shop.offer())
    cost = Transfer.objects.get(partner_id=shop.partner.pk, posting="cost-1")
    assert (cost.provider_id, cost.subscription_id, cost.kind) == (shop.provider.pk, subscription.pk, "new")
