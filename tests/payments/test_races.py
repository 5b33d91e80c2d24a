"""Races of payments and refunds: right with the lock; with it taken away the same two workers do harm.

Those of a refused method stand in test_refusal.py; the table of all is docs/races.md.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.core.errors import Refused
from apps.core.models import Event
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.ledger.models import Transfer
from apps.partners.models import LegalEntity
from apps.payments import (
    authority,
    bank_payouts,
    holds,
    methods,
    payments,
    recording,
    refund_calls,
    refund_lists,
    refunds,
)
from apps.payments.bank_payout_models import BankPayout
from apps.payments.gateway import GatewayRefund, Status
from apps.payments.models import Payment, PaymentMethod, Refund
from apps.policies import numbering
from tests.orders.races import Both, Runner, atomic, race, run, without_lock
from tests.orders.shop import Shop
from tests.payments.test_bank_payouts import TO
from tests.payments.test_limits import person

__all__ = ["run"]


def paid_on_the_page(shop: Shop) -> Payment:
    """The gateway has the money, we have not asked yet; nothing else is to be done."""
    order = shop.order(shop.offer())
    shop.deliver()
    payment = order.payment()
    assert payment is not None
    payment.refresh_from_db()
    shop.gateway.pay(payment.confirmation_url)
    return payment


def paid(shop: Shop) -> Payment:
    """Of 149 roubles."""
    payment = shop.buy(shop.offer(price="149.00")).order_items.get().order.payment()
    assert payment is not None
    return payment


def of_the_cabinet(payment: Payment) -> GatewayRefund:
    """All of a payment, given back by somebody in the gateway's own cabinet."""
    return GatewayRefund(
        gateway_id="their-refund",
        payment_gateway_id=payment.gateway_id,
        status=Status.SUCCEEDED,
        amount=payment.money,
        key="",
    )


@Both
def test_one_payment_claimed_by_two(shop: Shop, run: Runner, locked: bool) -> None:
    order = shop.order(shop.offer())
    payment = order.payment()
    assert payment is not None
    Payment.objects.filter(pk=payment.pk).update(state="created", claimed_at=None)

    def claim() -> Any:
        return payments._claim(payment.pk)

    done = run(claim, (recording.bulk, "update"), claim, Payment)
    # Without the lock both send it; that it is taken once is then the gateway's own kindness.
    assert (done.first is not None, done.second is not None) == (True, not locked)


@Both
def test_one_answer_of_the_gateway_recorded_by_two(shop: Shop, run: Runner, locked: bool) -> None:
    payment = paid_on_the_page(shop)

    def settle() -> Any:
        return payments.settle(payment.pk)

    done = run(settle, (methods, "made_of"), settle, Payment, Customer)
    # Without the lock the second posting is what the ledger itself refuses.
    assert isinstance(done.first, IntegrityError) is not locked
    assert Transfer.objects.filter(document_id=payment.pk, posting="received").count() <= 1
    told = Event.objects.filter(type="payments.PaymentSucceeded", object_id=payment.pk)
    assert (told.count(), PaymentMethod.objects.count()) == (1, 1)


@Both
def test_more_is_given_back_than_came(shop: Shop, run: Runner, locked: bool) -> None:
    payment = paid(shop)
    hundred = Money(Decimal("100.00"))

    def give() -> Any:
        return payments.refund(payment=payment, amount=hundred, reason="-", actor="olga")

    done = run(give, (refunds, "_write"), give, Payment)
    assert isinstance(done.second, Refused) is locked
    assert (payment.given_back() <= payment.amount) is locked


@Both
def test_held_money_is_taken_and_let_go_at_once(shop: Shop, run: Runner, locked: bool) -> None:
    order = shop.order(shop.offer())
    payment = order.payment()
    assert payment is not None
    Payment.objects.filter(pk=payment.pk).update(state="authorized", is_two_stage=True)

    def take() -> Any:
        return payments.capture(payment.pk, actor="olga")

    def let_go() -> Any:
        return payments.release(payment.pk, actor="ivan")

    done = run(take, (holds, "_decide"), let_go, Payment)
    # Without the lock both are told yes, and the gateway may be asked for both.
    assert isinstance(done.second, Refused) is locked
    payment.refresh_from_db()
    assert payment.second_stage == "capture"


@Both
def test_one_refund_asked_for_twice(shop: Shop, run: Runner, locked: bool) -> None:
    """With a key the second is the first; the key is the row's own id, so nothing else can come of it."""
    payment = paid(shop)
    key = payment.pk

    def give() -> Any:
        return payments.refund(payment=payment, reason="-", actor="olga", key=key)

    done = run(give, (refunds, "_write"), give, Payment)
    assert isinstance(done.first, IntegrityError) is not locked
    assert (payment.given_back(), Refund.objects.count()) == (payment.amount, 1)


@Both
def test_one_refund_claimed_by_two(shop: Shop, run: Runner, locked: bool) -> None:
    payment = paid(shop)
    made = payments.refund(payment=payment, reason="-", actor="olga")

    def claim() -> Any:
        return refund_calls.claim([made.pk]).get(made.pk)

    done = run(claim, (Refund, "save"), claim, Refund, Payment)
    assert (done.first is not None, done.second is not None) == (True, not locked)


@Both
def test_a_requested_refund_is_approved_and_declined(
    shop: Shop, run: Runner, locked: bool, limits: Callable[..., None]
) -> None:
    limits("finance", one="0")
    payment = paid(shop)
    asked = payments.refund(payment=payment, reason="-", actor=person(shop.partner, "finance"))
    yes, no = person(shop.partner, "admin"), person(shop.partner, "admin")

    def approve() -> Any:
        return refunds.approve(asked.pk, actor=yes)

    def decline() -> Any:
        return refunds.decline(asked.pk, actor=no, comment="-")

    done = run(approve, (authority, "must_decide"), decline, Refund, Payment)
    assert isinstance(done.second, Refused) is locked
    refund_calls.send(asked.pk)
    told = set(Event.objects.filter(object_id=asked.pk).values_list("type", flat=True))
    # Without the lock the money leaves after a no, which the customer has been told of.
    assert told == {"payments.RefundSucceeded"} | (set() if locked else {"payments.RefundFailed"})


@Both
def test_two_payment_orders_are_numbered_at_once(
    shop: Shop, run: Runner, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [payments.refund(payment=paid(shop), reason="-", actor="", route="bank") for _ in range(2)]
    entity = made[0].payout.legal_entity_id or 0
    with in_public():
        before = LegalEntity.objects.filter(pk=entity).values("account", "bik").get()
        LegalEntity.objects.filter(pk=entity).update(account="40702810000000000001", bik=TO["bik"])
    for one in made:
        bank_payouts.set_details(one.payout.pk, TO, actor="olga")

    def export(number: int) -> Callable[[], Any]:
        return lambda: bank_payouts.export([made[number].payout.pk], actor="olga")

    if not locked:
        # Read and then written, as it would be without the sequence's row.
        monkeypatch.setattr(numbering, "allot_to_all", lambda kind, above, **whose: above + 1)
    run(export(0), (BankPayout, "save"), export(1))
    numbers = set(BankPayout.objects.values_list("number", flat=True))
    # Without the lock the bank is given two orders of one number.
    assert len(numbers) == (2 if locked else 1)
    with in_public():
        LegalEntity.objects.filter(pk=entity).update(**before)


@Both
def test_a_refund_of_the_gateways_cabinet_taken_over_by_two(shop: Shop, run: Runner, locked: bool) -> None:
    payment = paid(shop)
    seen = of_the_cabinet(payment)

    def take_over() -> None:
        refund_lists._take_over(payment.pk, [seen])

    run(take_over, (Refund.objects, "create"), take_over, Payment, indexes=("payments_refund_once",))
    # Without lock and index the books say that twice as much has gone back.
    assert Refund.objects.count() == (1 if locked else 2)


def test_the_index_alone_takes_a_refund_over_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = paid(shop)
    seen = of_the_cabinet(payment)

    def take_over() -> None:
        refund_lists._take_over(payment.pk, [seen])

    without_lock(monkeypatch, Payment)
    done = race(monkeypatch, shop.partner, take_over, (Refund.objects, "create"), take_over)
    assert (done.overtook, isinstance(done.first, IntegrityError)) == (True, True)
    assert Refund.objects.count() == 1


@Both
def test_a_card_is_saved_while_its_owner_is_erased(shop: Shop, run: Runner, locked: bool) -> None:
    payment = paid_on_the_page(shop)

    def erase() -> None:
        customers.erase(payment.customer, actor="test")
        atomic(methods.erase, payment.customer_id)()

    run(lambda: payments.settle(payment.pk), (methods, "write"), erase, Customer)
    # Without the lock the token of somebody who is gone stays, and could be charged.
    assert bool(PaymentMethod.objects.get().token) is not locked
