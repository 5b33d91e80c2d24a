"""Money goes back once: over the balance, or by a refund; and a balance is sent back by the payments it came with."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from apps.accounts import sign_in
from apps.billing import changes, crediting, credits, gifts, pauses, payouts, subscriptions
from apps.billing.models import CreditNote, CreditReason, InvoiceState, Subscription, SubscriptionState
from apps.billing.payout_models import BalancePayout
from apps.channels.models import ApiKey, Channel
from apps.core import clock
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.models import Due, WorkItem
from apps.core.money import Money
from apps.journal.models import Entry
from apps.ledger.models import Transfer
from apps.payments import payments, refund_lists, refunds
from apps.payments.bank_payout_models import BankPayout
from apps.payments.models import Payment, Refund
from tests.billing.test_by_bank import bank, company, order_of
from tests.billing.test_lifecycle import another, faults_of, in_thirds, on_balance
from tests.billing.test_refunds import paid_by
from tests.billing.test_renewals import balance
from tests.orders.races import race, without_lock
from tests.orders.shop import Shop
from tests.planted import execute, found

# One corruption for each of the auditor's rules here: (rule, SQL).
CORRUPTIONS: list[tuple[str, str]] = [
    (
        "billing.given-back-once",
        "UPDATE billing_creditnote SET total = total + 100, to_balance = to_balance + 100",
    ),
    ("billing.given-back-once", "UPDATE payments_refund SET amount = amount + 100"),
    ("billing.given-back-once", "DELETE FROM billing_balancepayout"),
    ("billing.payouts", "UPDATE billing_balancepayout SET amount = amount - 1"),
    ("billing.payouts", "UPDATE billing_balancepayout SET returned_at = now()"),
    ("billing.payouts", "DELETE FROM billing_balancepayout"),
    ("billing.payouts", "UPDATE payments_refund SET state = 'failed'"),
    ("billing.payouts", "DELETE FROM payments_refund"),
    ("billing.payouts", "UPDATE ledger_transfer SET amount = amount + 1 WHERE document_kind = 'payout'"),
    ("billing.payouts", "UPDATE ledger_transfer SET debit = 'bank' WHERE document_kind = 'payout'"),
    ("billing.refund-credited", "DELETE FROM billing_balancepayout"),
]


def paused(shop: Shop, price: str = "149.00") -> tuple[Subscription, Payment, Decimal]:
    """Ten days into its first month: the other days stand on the balance."""
    subscription = shop.buy(shop.offer(price=price))
    in_thirds(shop, subscription)
    pauses.pause(subscription=subscription, actor="test")
    shop.deliver()
    subscription.refresh_from_db()
    return subscription, paid_by(shop, subscription), on_balance(subscription)


def sent(customer_id: Any, amount: str | None = None, key: str = "one") -> list[Any]:
    money = Money(Decimal(amount)) if amount else None
    return payouts.pay_out(customer_id=customer_id, amount=money, reason="по просьбе", actor="anna", key=key)


def refused(call: Callable[[], Any]) -> Refused:
    with pytest.raises(Refused) as found, transaction.atomic():
        call()
    return found.value


def credit(subscription: Subscription, amount: str) -> CreditNote:
    line = subscription.lines.get()
    with transaction.atomic():
        return credits.issue(
            invoice=line.invoice,
            parts=[credits.Part(line.pk, Decimal(amount))],
            reason=CreditReason.CORRECTION,
            key=f"test:{amount}",
        )


def test_what_is_on_the_balance_is_not_refunded_as_well(shop: Shop) -> None:
    _subscription, payment, kept = paused(shop)
    left = payment.amount - kept
    assert (payment.refundable(), payment.given_elsewhere()) == (left, kept)
    for amount in (payment.money, Money(left + Decimal("0.01"))):
        refusal = refused(
            lambda amount=amount: refunds.refund(payment=payment, amount=amount, reason="-", actor="-")
        )
        assert (refusal.code, refusal.extra["on_balance"]) == ("refund_too_much", str(kept))
        assert f"{Money(kept)} этого платежа уже на балансе покупателя" in str(refusal.message)
    refunds.refund(payment=payment, reason="-", actor="-")
    shop.deliver()
    assert Refund.objects.get().amount == left
    assert faults_of(shop) == []
    assert refused(lambda: refunds.refund(payment=payment, reason="-", actor="-")).code == "refund_too_much"


def test_several_notes_and_a_refund_on_its_way_all_count(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    payment = paid_by(shop, subscription)
    credit(subscription, "20.00")
    credit(subscription, "30.00")
    assert payment.refundable() == Decimal("99.00")
    # Nobody has sent it yet, and it is gone already.
    refunds.refund(payment=payment, amount=Money(Decimal("90.00")), reason="-", actor="-")
    assert refused(lambda: credit(subscription, "9.01")).code == "credit_too_much"
    credit(subscription, "9.00")
    shop.deliver()
    assert (payment.refundable(), on_balance(subscription)) == (Decimal(0), Decimal("59.00"))
    assert faults_of(shop) == []


def races(shop: Shop, patch: pytest.MonkeyPatch, *, refund_first: bool) -> tuple[Any, Any, bool]:
    """All of a payment back to the card, and all of its invoice onto the balance, at once."""
    subscription = shop.buy(shop.offer(price="149.00"))
    payment = paid_by(shop, subscription)

    def refund() -> Any:
        return payments.refund(payment=payment, reason="-", actor="-")

    def give() -> Any:
        return credit(subscription, "149.00")

    if refund_first:
        done = race(patch, shop.partner, refund, (refunds, "_write"), give)
    else:
        done = race(patch, shop.partner, give, (crediting, "note"), refund)
    return done.first, done.second, done.overtook


@pytest.mark.parametrize("refund_first", [True, False])
def test_a_refund_and_a_credit_at_once_without_the_lock_give_the_money_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, *, refund_first: bool
) -> None:
    with monkeypatch.context() as patch:
        without_lock(patch, Payment)
        first, second, overtook = races(shop, patch, refund_first=refund_first)
    assert overtook
    assert not isinstance(first, Exception), first
    assert not isinstance(second, Exception), second
    assert Refund.objects.get().amount == CreditNote.objects.get().to_balance == Decimal("149.00")
    assert "billing.given-back-once" in {fault.rule for fault in faults_of(shop)}


@pytest.mark.parametrize("refund_first", [True, False])
def test_the_lock_lets_only_one_of_them_give(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, *, refund_first: bool
) -> None:
    with monkeypatch.context() as patch:
        first, second, overtook = races(shop, patch, refund_first=refund_first)
    assert not overtook
    assert not isinstance(first, Exception), first
    assert isinstance(second, Refused), second
    assert second.code == ("credit_too_much" if refund_first else "refund_too_much")
    shop.deliver()
    assert Refund.objects.count() + CreditNote.objects.count() == 1
    assert faults_of(shop) == []


def test_a_balance_goes_back_by_its_payment_once(shop: Shop) -> None:
    subscription, payment, kept = paused(shop)
    assert payouts.look(subscription.customer_id).possible == Money(kept)
    [made] = sent(subscription.customer_id)
    assert [one.pk for one in sent(subscription.customer_id)] == [made.pk]
    assert refused(lambda: sent(subscription.customer_id, "1.00")).code == "key_reused"
    shop.deliver()
    refund = Refund.objects.get()
    assert (refund.pk, refund.payment_id, refund.amount, refund.state) == (
        made.pk,
        payment.pk,
        kept,
        "succeeded",
    )
    assert on_balance(subscription) == 0
    assert set(
        Transfer.objects.filter(document_id=made.pk).values_list("document_kind", "debit", "credit", "amount")
    ) == {("payout", "advances", "receivable", kept), ("refund", "receivable", "partner_payable", kept)}
    assert (balance(shop, "advances"), balance(shop, "receivable")) == (0, 0)
    assert (payment.refundable(), payment.given_elsewhere()) == (payment.amount - kept, 0)
    entry = Entry.objects.get(action="balance.paid-out")
    assert (entry.object_id, entry.actor, entry.data["amount"]) == (
        str(subscription.customer_id),
        "anna",
        str(kept),
    )
    assert faults_of(shop) == []
    assert refused(lambda: sent(subscription.customer_id, key="two")).code == "payout_too_much"


def test_all_of_a_payment_paid_out_leaves_what_another_invoice_pays_for(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    dearer = another(shop, offer, "300.00")
    subscription = shop.buy(offer)
    changes.change(subscription=subscription, offer=dearer, when=changes.NOW)
    shop.deliver()
    changes.change(subscription=Subscription.objects.get(), offer=offer, when=changes.NOW)
    shop.deliver()
    assert on_balance(subscription) == Decimal("151.00")
    [made] = sent(subscription.customer_id)
    shop.deliver()
    assert (made.payment.amount, made.amount) == (Decimal("151.00"), Decimal("151.00"))
    subscription.refresh_from_db()
    states = [invoice.state for invoice in shop.invoices(subscription)]
    assert states == [InvoiceState.PAID, InvoiceState.REFUNDED, InvoiceState.PAID]
    assert subscription.state == SubscriptionState.ACTIVE
    assert faults_of(shop) == []


def test_a_balance_of_two_payments_goes_back_by_both_the_newest_first(shop: Shop) -> None:
    customer = shop.customer()
    one = shop.buy(shop.offer(price="100.00"), customer=customer)
    other = shop.buy(shop.offer(price="200.00"), customer=customer)
    credit(one, "60.00")
    credit(other, "50.00")
    made = sent(customer.pk, "70.00")
    shop.deliver()
    assert [(row.payment_id, row.amount) for row in made] == [
        (paid_by(shop, other).pk, Decimal("50.00")),
        (paid_by(shop, one).pk, Decimal("20.00")),
    ]
    assert on_balance(one) == Decimal("40.00")
    assert faults_of(shop) == []


@pytest.mark.parametrize("is_note", [True, False])
def test_what_the_gateway_would_not_send_is_on_the_balance(shop: Shop, *, is_note: bool) -> None:
    match = {"operation": "create_refund", "shop": shop.partner.slug}
    shop.gateway.fault("decline", match=match, reason="insufficient_funds")
    if is_note:
        subscription = shop.buy(shop.offer(price="149.00"))
        line = subscription.lines.get()
        with transaction.atomic():
            credits.issue(
                invoice=line.invoice,
                parts=[credits.Part(line.pk, Decimal("49.00"))],
                reason=CreditReason.REFUND,
                key="one",
                to_card=True,
            )
        kept = Decimal("49.00")
    else:
        subscription, _payment, kept = paused(shop)
        sent(subscription.customer_id)
    assert on_balance(subscription) == 0
    shop.deliver()
    assert Refund.objects.get().state == "failed"
    assert on_balance(subscription) == kept
    assert faults_of(shop) == []
    # And goes back from there at the next try.
    sent(subscription.customer_id, key="again")
    shop.deliver()
    assert (on_balance(subscription), Refund.objects.filter(state="succeeded").get().amount) == (0, kept)
    assert (balance(shop, "advances"), balance(shop, "receivable")) == (0, 0)
    assert faults_of(shop) == []


def test_a_refund_in_the_gateways_cabinet_comes_off_the_balance(shop: Shop) -> None:
    subscription, payment, kept = paused(shop)
    shop.gateway.cabinet_refund(payment.gateway_id, str(payment.amount))
    refund_lists.reconcile(payment.pk)
    shop.deliver()
    assert (on_balance(subscription), BalancePayout.objects.get().amount) == (0, kept)
    assert shop.invoices(subscription)[0].state == InvoiceState.REFUNDED
    assert not WorkItem.objects.filter(partner_id=shop.partner.pk, kind="payments.refund").exists()
    assert faults_of(shop) == []


def test_what_was_spent_before_the_cabinet_sent_it_back_is_for_staff(shop: Shop) -> None:
    subscription, payment, kept = paused(shop)
    pauses.resume(subscription=subscription, actor="test")
    shop.until(clock.today() + timedelta(days=1))
    assert on_balance(subscription) == 0
    shop.gateway.cabinet_refund(payment.gateway_id, str(payment.amount))
    refund_lists.reconcile(payment.pk)
    shop.deliver()
    item = WorkItem.objects.get(partner_id=shop.partner.pk, kind="payments.refund")
    assert str(Money(kept)) in item.reason
    assert balance(shop, "receivable") == kept
    assert faults_of(shop) == []


def test_money_by_bank_does_not_go_back_through_a_gateway(shop: Shop) -> None:
    customer = company(shop)
    invoice = order_of(shop, customer).invoice
    assert invoice is not None
    came = bank(invoice, "1300.00", keep_rest=True)
    shop.deliver()
    seen = payouts.look(customer.pk)
    assert (seen.on_balance, seen.possible, seen.rest) == (
        Money(Decimal("80.00")),
        Money(Decimal("80.00")),
        Money(Decimal("0.00")),
    )
    assert [one.payment for one in seen.ways] == [came]
    assert refused(lambda: sent(customer.pk, "80.01")).code == "payout_too_much"
    [made] = sent(customer.pk, "80.00")
    shop.deliver()
    assert (made.pk, made.way) == (BankPayout.objects.get().pk, "bank")
    assert Refund.objects.count() == 0
    assert faults_of(shop) == []


def test_terms_change_for_what_a_refund_has_left(shop: Shop) -> None:
    """What went back is not credited again, and is not counted on to pay for the new terms."""
    offer = shop.offer(price="149.00")
    dearer = another(shop, offer, "449.00")
    subscription = shop.buy(offer)
    in_thirds(shop, subscription)
    refunds.refund(
        payment=paid_by(shop, subscription), amount=Money(Decimal("120.00")), reason="-", actor="-"
    )
    seen = changes.preview(subscription=subscription, offer=dearer, when=changes.NOW)
    assert seen.credited == Decimal("29.00")
    assert pauses.unused(subscription) == Money(Decimal("29.00"))
    outcome = changes.change(subscription=subscription, offer=dearer, when=changes.NOW)
    assert outcome.payment is not None
    assert outcome.payment.amount == seen.charged - Decimal("29.00")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.price, on_balance(subscription)) == (Decimal("449.00"), 0)
    assert faults_of(shop) == []


def test_the_console_says_how_much_goes_back_and_why(shop: Shop, staff_client: Any) -> None:
    subscription, payment, kept = paused(shop)
    finance = staff_client(shop.partner, role="finance", of=shop.partner)
    page = finance.get(f"/admin/payments/payment/{payment.pk}/refund/").content.decode()
    assert f"Можно вернуть до {Money(payment.amount - kept)}" in page
    assert f"{Money(kept)} этого платежа уже на балансе покупателя" in page
    form = {"amount": "149,00", "reason": "-", "key": str(uuid7())}
    answer = finance.post(f"/admin/payments/payment/{payment.pk}/refund/", form)
    assert (answer.status_code, Refund.objects.count()) == (200, 0)
    assert "уже на балансе покупателя" in answer.content.decode()

    account = f"/admin/billing/customeraccount/{subscription.customer_id}"
    assert f"На балансе {Money(kept)}" in finance.get(f"{account}/change/").content.decode()
    page = finance.get(f"{account}/pay-out/").content.decode()
    assert f"{Money(kept)} вернутся по платежу от" in page
    wrong = finance.post(f"{account}/pay-out/", form).content.decode()
    assert f"С баланса можно вернуть не больше {Money(kept)}" in wrong
    form["amount"] = str(kept).replace(".", ",")
    for _press in range(2):
        assert finance.post(f"{account}/pay-out/", form).status_code == 302
    shop.deliver()
    assert (BalancePayout.objects.get().amount, Refund.objects.get().state) == (kept, "succeeded")
    assert Entry.objects.get(action="balance.paid-out").actor
    support = staff_client(shop.partner, role="support", of=shop.partner)
    assert support.post(f"{account}/pay-out/", form).status_code == 403
    assert faults_of(shop) == []


def test_a_balance_by_api_and_in_the_cabinet(shop: Shop, client_for: Any) -> None:
    subscription, _payment, kept = paused(shop)
    browser = client_for(shop.partner)
    browser.cookies[sign_in.COOKIE] = sign_in._open(subscription.customer)
    assert str(Money(kept)) in browser.get("/cabinet/").content.decode()
    _key, secret = ApiKey.issue(Channel.objects.get(code="api"), ["invoices:read", "subscriptions:write"])
    api = client_for(shop.partner, Authorization=f"Bearer {secret}")
    path = f"/api/v1/balances/{subscription.customer_id}/"
    seen = api.get(path).json()
    assert (seen["amount"], seen["refundable"], seen["currency"]) == (str(kept), str(kept), "RUB")

    def send(**asked: Any) -> Any:
        return api.post(f"{path}pay-out/", {"reason": "-", **asked}, content_type="application/json")

    assert send(key="a", amount="0").status_code == 400
    over = send(key="a", amount=str(kept + 1))
    assert (over.status_code, over.json()["title"], over.json()["possible"]) == (
        409,
        "payout_too_much",
        str(kept),
    )
    first, again = send(key="a"), send(key="a")
    assert (first.status_code, first.json()) == (201, again.json())
    assert send(key="a", amount="1.00").status_code == 422
    shop.deliver()
    assert api.get(path).json()["amount"] == "0.00"
    assert Refund.objects.get().pk == BalancePayout.objects.get().pk
    assert "На балансе" not in browser.get("/cabinet/").content.decode()
    assert api.get("/api/v1/balances/nobody/").status_code == 404
    assert faults_of(shop) == []


def test_each_rule_finds_its_corruption(shop: Shop) -> None:
    subscription, payment, kept = paused(shop)
    sent(subscription.customer_id, str(kept - 10))
    refunds.refund(payment=payment, amount=Money(Decimal("5.00")), reason="-", actor="-")
    shop.deliver()
    missed = [pair for pair in CORRUPTIONS if not found(pair[0], lambda pair=pair: execute(pair[1]))]
    assert missed == []
    assert faults_of(shop) == []


def test_bought_paused_and_gone_on_with_on_one_day(shop: Shop) -> None:
    """Found by random lives: until the next run bills it, it is paid by nothing, and nothing is wrong."""
    subscription = shop.buy(shop.offer())
    pauses.pause(subscription=subscription, actor="test")
    sent(subscription.customer_id)
    shop.deliver()
    pauses.resume(subscription=subscription, actor="test")
    shop.deliver()
    assert faults_of(shop) == []
    shop.until(clock.today() + timedelta(days=1))
    subscription.refresh_from_db()
    assert (subscription.state, len(shop.charges())) == (SubscriptionState.ACTIVE, 2)
    assert faults_of(shop) == []


def test_a_company_that_leaves_on_its_first_day_needs_no_act(shop: Shop) -> None:
    """Found by random lives: the day of an act on which nothing was given came again and again, for ever."""
    invoice = order_of(shop, company(shop)).invoice
    assert invoice is not None
    bank(invoice, str(invoice.total))
    shop.deliver()
    subscription = Subscription.objects.get()
    end = subscription.current_period_end
    assert end is not None
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    shop.until(end + timedelta(days=1))
    assert not Due.objects.filter(partner_id=shop.partner.pk, kind="billing.act").exists()
    assert payouts.look(invoice.customer_id).possible == invoice.money
    assert faults_of(shop) == []


@pytest.mark.parametrize("is_within", [False, True])
def test_a_change_after_given_days_is_undone_and_they_end_all_the_same(shop: Shop, is_within: bool) -> None:
    """Found by random lives: the change had replaced the terms after the gift, and nothing was billed ever after."""
    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    gifts.extend(subscription=subscription, days=11, actor="test")
    subscription.refresh_from_db()
    end = subscription.current_period_end
    assert end is not None
    if is_within:
        shop.until(end - timedelta(days=5))
        subscription.refresh_from_db()
    changes.change(subscription=subscription, offer=another(shop, offer, "449.00"))
    changes.undo(subscription=subscription, actor="test")
    shop.deliver()
    assert faults_of(shop) == []
    shop.until(end)
    subscription.refresh_from_db()
    assert (len(shop.charges()), subscription.price) == (2, Decimal("149.00"))
    assert shop.invoices(subscription)[1].total == Decimal("149.00")
    assert faults_of(shop) == []
