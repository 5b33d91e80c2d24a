"""The invoice run: trials, changes, add-ons, discounts, balances, ends and who collects; and its preview."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from random import Random

import pytest
from django.db import transaction

from apps.billing import credits, phases, renewals
from apps.billing.models import (
    Collection,
    CreditReason,
    Invoice,
    InvoiceState,
    PhaseKind,
    Subscription,
    SubscriptionDiscount,
    SubscriptionState,
)
from apps.billing.periods import midnight
from apps.billing.preview import preview
from apps.core import audit, clock
from apps.core.ids import uuid7
from apps.core.models import Due
from apps.core.tenancy import in_public
from apps.orders.models import ServiceState
from apps.partners.models import Partner
from apps.payments.models import Payment
from apps.policies.dunning_models import ChargeRules
from tests.orders.shop import Shop

FIRST = "149.00"


def jump(shop: Shop, day: date | None) -> None:
    """The clock jumps, and nothing that was due on the way is done."""
    assert day is not None
    Partner.objects.filter(pk=shop.partner.pk).update(clock_at=midnight(day))
    shop.partner.clock_at = midnight(day)


def renewed(shop: Shop, subscription: Subscription) -> Invoice:
    """Jumps to the next bill date and runs; the invoice of it."""
    jump(shop, subscription.current_period_end)
    renewals.renew(subscription.pk)
    subscription.refresh_from_db()
    return shop.invoices(subscription)[-1]


def put_on_balance(shop: Shop, subscription: Subscription, amount: Decimal) -> None:
    """So much stands on the customer's balance: of a year that was bought and taken back in part."""
    other = shop.buy(shop.offer(price="5000.00", period_unit="year"), customer=subscription.customer)
    [invoice] = shop.invoices(other)
    part = credits.Part(invoice.lines.get().pk, amount)
    with transaction.atomic():
        credits.issue(invoice=invoice, parts=[part], reason=CreditReason.CORRECTION, key=str(invoice.pk))


def discount(subscription: Subscription, percent: int, *, until: date | None = None) -> None:
    SubscriptionDiscount.objects.create(
        subscription=subscription,
        name="Акция",
        percent=percent,
        start_date=clock.today(),
        end_date=until,
        created_at=clock.now(),
    )


def addon(shop: Shop, parent: Subscription, price: str) -> Subscription:
    """An add-on on its parent's bill dates, invoiced as far as the parent is."""
    offer = shop.offer(price=price)
    one = Subscription.objects.get(pk=parent.pk)
    one.pk, one.parent_id, one.offer_id = uuid7(), parent.pk, offer.pk
    version = offer.current_version()
    one.product_id, one.tariff_version_id, one.price = offer.tariff.product_id, version.pk, Decimal(price)
    one.name, one.method = "Дополнение", None
    one.save(force_insert=True)
    phases.add(one, kind=PhaseKind.REGULAR, start_date=clock.today(), anchor_date=parent.anchor_date)
    return one


def violations(shop: Shop) -> list[str]:
    return [str(one) for one in audit.run([shop.partner.pk])]


def test_a_change_of_terms_is_billed_and_shown_from_its_day(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    start = subscription.current_period_end
    assert start
    phases.add(subscription, kind=PhaseKind.CHANGE, start_date=start, price=Decimal("249.00"))
    invoice = renewed(shop, subscription)
    line = invoice.lines.get()
    assert (invoice.total, line.phase.kind) == (Decimal("249.00"), PhaseKind.CHANGE)
    assert subscription.price == Decimal("249.00")
    shop.deliver()
    assert violations(shop) == []


def test_a_change_within_a_period_is_billed_up_to_its_day_and_then_from_it(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="300.00"))
    bill_date = subscription.current_period_end
    assert bill_date
    change = bill_date + timedelta(days=10)
    phases.add(subscription, kind=PhaseKind.CHANGE, start_date=change, price=Decimal("600.00"))
    first = renewed(shop, subscription).lines.get()
    assert (first.period_start, first.period_end) == (bill_date, change)
    shop.deliver()
    subscription.refresh_from_db()
    assert subscription.current_period_end == change
    second = renewed(shop, subscription).lines.get()
    assert second.period_start == change
    assert abs(first.amount + second.amount / 2 - Decimal("300.00")) <= Decimal("0.01")


def test_addons_stand_on_their_parents_invoice(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    extra = addon(shop, subscription, "51.00")
    invoice = renewed(shop, subscription)
    extra.refresh_from_db()
    lines = {line.subscription_id: line for line in invoice.lines.all()}
    assert {key: line.amount for key, line in lines.items()} == {
        subscription.pk: Decimal(FIRST),
        extra.pk: Decimal("51.00"),
    }
    assert invoice.subscription_id == subscription.pk
    assert subscription.billed_until == extra.billed_until == lines[extra.pk].period_end
    assert Payment.objects.get(invoice_payment__invoice=invoice).amount == Decimal("200.00")
    shop.deliver()
    extra.refresh_from_db()
    assert extra.current_period_end == lines[extra.pk].period_end


def test_a_discount_lasts_as_long_as_was_said(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"))
    assert subscription.current_period_end
    discount(subscription, 30, until=subscription.current_period_end + timedelta(days=1))
    first = renewed(shop, subscription).lines.get()
    assert (first.amount, first.discount) == (Decimal("70.00"), Decimal("30.00"))
    shop.deliver()
    subscription.refresh_from_db()
    assert renewed(shop, subscription).total == Decimal("100.00")


@pytest.mark.parametrize(
    ("has", "applied", "paid_by_card"), [("49.00", "49.00", "100.00"), ("500.00", "149.00", None)]
)
def test_the_balance_is_used_first(shop: Shop, has: str, applied: str, paid_by_card: str | None) -> None:
    subscription = shop.buy(shop.offer())
    put_on_balance(shop, subscription, Decimal(has))
    seen = preview(subscription)
    invoice = renewed(shop, subscription)
    assert (invoice.credit_applied, seen.balance_used) == (Decimal(applied), Decimal(applied))
    payment = Payment.objects.filter(invoice_payment__invoice=invoice).first()
    assert (str(payment.amount) if payment else None) == paid_by_card
    shop.deliver()
    invoice.refresh_from_db()
    subscription.refresh_from_db()
    assert invoice.state == InvoiceState.PAID
    assert subscription.current_period_end == invoice.lines.get().period_end
    assert shop.service(subscription).active_until == subscription.current_period_end
    assert violations(shop) == []


def test_a_period_for_nothing_needs_no_card(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    discount(subscription, 100)
    Subscription.objects.update(method=None)
    invoice = renewed(shop, subscription)
    assert (invoice.total, invoice.state) == (0, InvoiceState.PAID)
    assert (subscription.state, subscription.failures) == (SubscriptionState.ACTIVE, 0)
    shop.deliver()
    assert violations(shop) == []


@pytest.mark.parametrize("collection", [Collection.PARTNER_REPORTS, Collection.PARTNER_PAYS])
def test_where_others_collect_the_period_begins_with_its_invoice(shop: Shop, collection: str) -> None:
    subscription = shop.buy(shop.offer())
    Subscription.objects.update(collection=collection)
    subscription.refresh_from_db()
    for _month in range(2):
        invoice = renewed(shop, subscription)
        assert (invoice.state, invoice.collection) == (InvoiceState.OPEN, collection)
        assert not Payment.objects.filter(invoice_payment__invoice=invoice).exists()
        assert subscription.current_period_end == invoice.lines.get().period_end
        shop.deliver()
        service = shop.service(subscription)
        assert (service.state, service.active_until) == (ServiceState.ACTIVE, subscription.current_period_end)
    assert violations(shop) == []


def test_what_has_its_end_ends(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="310.00"))
    bill_date = subscription.current_period_end
    assert bill_date
    Subscription.objects.update(end_date=bill_date + timedelta(days=10))
    subscription.refresh_from_db()
    line = renewed(shop, subscription).lines.get()
    assert line.period_end == subscription.end_date
    assert line.amount < Decimal("110.00")
    shop.deliver()
    subscription.refresh_from_db()
    assert preview(subscription).date is None
    jump(shop, subscription.end_date)
    renewals.renew(subscription.pk)
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_reason) == (SubscriptionState.ENDED, "expired")


def test_what_is_parked_is_not_billed(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    Subscription.objects.update(is_parked=True)
    renewed(shop, subscription)
    assert len(shop.invoices(subscription)) == 1


def test_free_days_are_not_billed_and_the_next_bill_date_is_planned(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    day = subscription.current_period_end
    assert day
    back = day + timedelta(days=20)
    phases.add(subscription, kind=PhaseKind.PAUSE, start_date=day, is_free=True)
    phases.add(subscription, kind=PhaseKind.REGULAR, start_date=back, anchor_date=back)
    renewed(shop, subscription)
    assert len(shop.invoices(subscription)) == 1
    planned = Due.objects.get(partner_id=shop.partner.pk, kind="billing.renew")
    assert clock.local(planned.due_at).date() == back


def test_a_batch_bills_each_once_however_often_it_runs(shop: Shop) -> None:
    mine = [shop.buy(shop.offer(trial_days=days)) for days in (0, 0, 7)]
    last = max(one.current_period_end for one in mine if one.current_period_end)
    jump(shop, last)
    keys = [one.pk for one in mine]
    renewals.renew_many(keys)
    renewals.renew_many(keys[1:])
    assert [len(shop.invoices(one)) for one in mine] == [2, 2, 2]
    numbers = sorted(one.number for invoices in map(shop.invoices, mine) for one in invoices)
    # Each year's begin with 1.
    for _year, group in groupby(numbers, key=lambda number: number.rpartition("-")[0]):
        last = [int(number.rpartition("-")[2]) for number in group]
        assert last == list(range(1, len(last) + 1))
    shop.deliver()
    assert violations(shop) == []


def test_the_preview_is_what_is_then_billed(shop: Shop) -> None:
    """Any terms, discounts, add-ons and balance: to the kopeck, and nothing is written."""
    draw = Random(20260101)
    with in_public():
        # Its prices jump as no real one's does.
        ChargeRules.objects.create(partner=shop.partner, most_times_usual=9999)
    subscription = shop.buy(shop.offer(price="149.99"))
    extra = addon(shop, subscription, "33.33")
    for _month in range(8):
        after = subscription.billed_until
        assert after
        for one in (subscription, extra):
            if draw.random() < 0.6:
                start = after + timedelta(days=draw.choice([0, 0, 7, 17]))
                price = Decimal(draw.randrange(100, 100_000)) / 100
                phases.add(
                    one, kind=PhaseKind.CHANGE, start_date=start, price=price, quantity=draw.choice([1, 3])
                )
        if draw.random() < 0.5:
            discount(
                draw.choice([subscription, extra]), draw.choice([5, 33]), until=after + timedelta(days=40)
            )
        if draw.random() < 0.5:
            put_on_balance(shop, subscription, Decimal(draw.randrange(1, 50_000)) / 100)
        before = Invoice.objects.count()
        seen = preview(subscription)
        assert Invoice.objects.count() == before
        assert seen.date
        jump(shop, seen.date)
        Subscription.objects.filter(pk__in=[subscription.pk, extra.pk]).update(current_period_end=seen.date)
        renewals.renew(subscription.pk)
        invoice = shop.invoices(subscription)[-1]
        told = [
            (one.subscription.pk, one.name, one.start, one.end, one.discount, one.amount, one.vat)
            for one in seen.lines
        ]
        lines = invoice.lines.order_by("position")
        assert told == list(
            lines.values_list(
                "subscription_id", "description", "period_start", "period_end", "discount", "amount", "vat"
            )
        )
        assert (seen.total, seen.balance_used) == (invoice.total, invoice.credit_applied)
        assert seen.due == invoice.due_money
        shop.deliver()
        subscription.refresh_from_db()
        extra.refresh_from_db()
        assert invoice.pk in {one.pk for one in shop.invoices(subscription)}
