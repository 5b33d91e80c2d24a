"""Money that goes back is taken off its invoice once; invoice, ledger and subscription agree afterwards."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.billing import credits, renewals
from apps.billing.models import Invoice, InvoiceState, Subscription, SubscriptionState
from apps.core import clock
from apps.core.ids import uuid7
from apps.core.models import Event
from apps.core.money import Money
from apps.ledger.models import Transfer
from apps.orders.models import ServiceState
from apps.partners.models import ContractTerms
from apps.payments import payments, refund_calls, refund_lists
from apps.payments.models import Payment, Refund
from tests.billing.test_renewals import balance, is_clean, letters
from tests.orders.shop import Shop

URLS = {"urlconf": "armor.urls_partner"}


def give_back(shop: Shop, payment: Payment, amount: str | None = None) -> Refund:
    """As staff do it in the console."""
    money = Money(Decimal(amount)) if amount else None
    made = payments.refund(payment=payment, amount=money, reason="по просьбе клиента", actor="finance")
    shop.deliver()
    return made


def paid_by(shop: Shop, subscription: Subscription, number: int = 0) -> Payment:
    payment = shop.invoices(subscription)[number].payment()
    assert payment is not None
    return payment


def books(shop: Shop) -> dict[str, Decimal]:
    """What is left on the accounts of a sale, of which nothing is to be left."""
    accounts = ("receivable", "deferred", "vat", "revenue", "partner_share")
    return {name: left for name in accounts if (left := balance(shop, name))}


def test_all_given_back_in_the_console_ends_what_was_paid_for(
    shop: Shop, staff_client: Callable[..., Client]
) -> None:
    subscription = shop.buy(shop.offer())
    payment = paid_by(shop, subscription)
    page = reverse("admin:payments_payment_give_back", args=[payment.pk], **URLS)
    form = {"amount": "149,00", "reason_code": "refused", "route": "gateway", "key": str(uuid7())}
    browser = staff_client(shop.partner, role="finance", of=shop.partner)
    for _click in range(2):
        assert browser.post(page, form).status_code == 302
    shop.deliver()

    subscription.refresh_from_db()
    [invoice] = shop.invoices(subscription)
    assert (invoice.state, subscription.state) == (InvoiceState.REFUNDED, SubscriptionState.CANCELLED)
    assert invoice.closed_at
    assert shop.service(subscription).is_over
    assert books(shop) == {}
    assert letters("subscription_cancelled") == 1
    assert Event.objects.filter(object_id=invoice.pk, type="billing.InvoiceRefunded").count() == 1
    shop.until(clock.today() + timedelta(days=70))
    assert (len(shop.charges()), len(shop.invoices(subscription))) == (1, 1)
    assert is_clean(shop)


def test_parts_add_up_to_the_last_kopeck(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    payment = paid_by(shop, subscription)
    for amount, deferred in (("49.00", "81.97"), ("0.01", "81.96"), ("33.33", "54.64")):
        refund = give_back(shop, payment, amount)
        # The same news again changes nothing.
        with transaction.atomic():
            renewals.refunded(refund.pk)
        subscription.refresh_from_db()
        [invoice] = shop.invoices(subscription)
        assert (invoice.state, subscription.state) == (InvoiceState.PAID, SubscriptionState.ACTIVE)
        assert (balance(shop, "receivable"), balance(shop, "deferred")) == (0, -Decimal(deferred))
        assert is_clean(shop)
    give_back(shop, payment)
    [invoice] = shop.invoices(subscription)
    assert (invoice.state, books(shop)) == (InvoiceState.REFUNDED, {})
    assert is_clean(shop)


def test_a_refund_and_a_note_of_the_rest_take_all_of_the_vat(shop: Shop) -> None:
    """Found by random lives: the note did not know what the refund had taken, and a kopeck of VAT stayed."""
    subscription = shop.buy(shop.offer(price="149.00"))
    give_back(shop, paid_by(shop, subscription), "4.07")
    [invoice] = shop.invoices(subscription)
    with transaction.atomic():
        rest = [credits.Part(invoice.lines.get().pk, Decimal("144.93"))]
        note = credits.issue(invoice=invoice, parts=rest, reason="correction", key="rest")
    # Of 26.87 the refund had 0.73; at its rate alone the rest would have 26.13.
    assert note.vat == Decimal("26.14")
    assert books(shop) == {}
    assert is_clean(shop)


def test_only_what_was_kept_is_earned(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="122.00"))
    give_back(shop, paid_by(shop, subscription), "61.00")
    shop.until(subscription.current_period_end)
    # Half of 100.00 without VAT was given back before the month was over.
    assert balance(shop, "revenue") == -Decimal("50.00")
    assert balance(shop, "deferred") == -Decimal("100.00")
    assert is_clean(shop)


def test_a_month_given_back_after_it_was_earned_leaves_the_next_alone(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="122.00"))
    shop.until(subscription.current_period_end)
    give_back(shop, paid_by(shop, subscription))
    subscription.refresh_from_db()
    first, second = shop.invoices(subscription)
    assert (first.state, second.state) == (InvoiceState.REFUNDED, InvoiceState.PAID)
    assert subscription.state == SubscriptionState.ACTIVE
    assert shop.service(subscription).state == ServiceState.ACTIVE
    assert (balance(shop, "revenue"), balance(shop, "deferred")) == (0, -Decimal("100.00"))
    assert is_clean(shop)


def test_the_share_of_the_partner_goes_back_with_the_money(shop: Shop) -> None:
    ContractTerms.objects.create(
        partner=shop.partner, number="Д-1", valid_from=date(2020, 1, 1), share_percent=Decimal(20)
    )
    subscription = shop.buy(shop.offer(price="122.00"))
    assert balance(shop, "partner_share") == Decimal("20.00")
    payment = paid_by(shop, subscription)
    give_back(shop, payment, "61.00")
    assert balance(shop, "partner_share") == Decimal("10.00")
    give_back(shop, payment)
    assert books(shop) == {}
    assert is_clean(shop)


def test_news_of_the_refund_comes_before_news_of_the_payment(shop: Shop) -> None:
    order = shop.order(shop.offer())
    payment = order.payment()
    assert payment is not None
    payment.refresh_from_db()
    shop.gateway.pay(payment.confirmation_url)
    payments.settle(payment.pk)
    made = payments.refund(payment=payment, reason="ошибка", actor="finance")
    refund_calls.send(made.pk)
    with transaction.atomic():
        renewals.refunded(made.pk)
    assert Invoice.objects.get().state == InvoiceState.OPEN
    shop.deliver()
    order.refresh_from_db()
    assert (Invoice.objects.get().state, order.state) == (InvoiceState.REFUNDED, "cancelled")
    assert Subscription.objects.get().state == SubscriptionState.CANCELLED
    assert books(shop) == {}
    assert is_clean(shop)


def test_a_refund_made_in_the_gateways_cabinet_ends_it_too(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    payment = paid_by(shop, subscription)
    shop.gateway.cabinet_refund(payment.gateway_id, "149.00")
    refund_lists.reconcile(payment.pk)
    shop.deliver()
    subscription.refresh_from_db()
    assert (shop.invoices(subscription)[0].state, subscription.state) == ("refunded", "cancelled")
    assert books(shop) == {}
    assert is_clean(shop)


def test_credits_stand_in_the_ledger_once_per_refund(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    refund = give_back(shop, paid_by(shop, subscription), "61.00")
    posted = Transfer.objects.filter(
        partner_id=shop.partner.pk, document_id=refund.pk, document_kind="credit"
    )
    assert set(posted.values_list("posting", "debit", "credit", "amount", "kind")) == {
        ("credit-net-1", "deferred", "receivable", Decimal("50.00"), "refund"),
        ("credit-vat-1", "vat", "receivable", Decimal("11.00"), "refund"),
    }
