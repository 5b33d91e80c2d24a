"""Money goes back once, never more than came, and by itself where it should not have been taken."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.core import faults
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.ledger.models import Transfer
from apps.payments import methods, payments, refund_calls, refund_lists
from apps.payments.models import Payment, PaymentMethod, Refund, RefusalHow, WrongMove
from tests.conftest import eventually
from tests.payments.conftest import Till, agreed, later, look, thread

URLS = {"urlconf": "armor.urls_partner"}


def money(amount: str) -> Money:
    return Money(Decimal(amount))


def give(payment: Payment, amount: str | None = None, **options: object) -> Refund:
    """A refund as staff would ask for it."""
    wanted = money(amount) if amount else None
    return payments.refund(
        payment=payment, amount=wanted, reason="по просьбе клиента", actor="finance", **options
    )


def test_part_and_rest_go_back_and_never_more(till: Till, deliver: Callable[[], int]) -> None:
    payment, key = till.paid(), uuid7()
    part = give(payment, "99.00", key=key)
    assert give(payment, "99.00", key=key) == part
    with pytest.raises(Refused, match="refund_too_much"):
        give(payment, "300.01")
    rest = give(payment)
    with pytest.raises(Refused, match="refund_too_much"):
        give(payment, "0.01")
    deliver()
    payment.refresh_from_db()
    assert (payment.state, payment.is_lost, rest.amount) == ("refunded", False, Decimal("300.00"))
    assert till.events(part) == ["payments.RefundSucceeded"]
    moved = Transfer.objects.filter(partner=till.partner, document_kind="refund")
    assert set(moved.values_list("debit", "credit", "amount", "kind")) == {
        ("receivable", "clearing", Decimal("99.00"), "refund"),
        ("receivable", "clearing", Decimal("300.00"), "refund"),
    }
    agreed(till)


def test_many_refunds_at_once_stay_within_the_payment(till: Till, deliver: Callable[[], int]) -> None:
    payment = till.paid()

    def work() -> None:
        with suppress(Refused):
            give(payment, "150.00")

    for worker in [thread(till, work) for _ in range(6)]:
        worker.join()
    deliver()
    assert payment.given_back() == Decimal("300.00")
    agreed(till)


def test_refund_that_gets_no_answer_or_a_refusal(till: Till, deliver: Callable[[], int]) -> None:
    payment = till.paid()
    match = {"operation": "create_refund", "shop": till.shop}
    till.gateway.fault("drop_answer", match=match)
    lost = refund_calls.send(give(payment, "10.00").pk)
    assert lost.state == "unknown"
    assert look(lost).state == "succeeded"
    # The gateway forgets the key before we hear of it: its list tells.
    till.gateway.fault("drop_answer", match=match)
    lost = refund_calls.send(give(payment, "20.00").pk)
    later(lost, timedelta(hours=30))
    assert refund_calls.sweep(lost.pk).state == "succeeded"
    till.gateway.fault("http_503", match=match)
    never = refund_calls.send(give(payment, "30.00").pk)
    later(never, timedelta(hours=30))
    assert refund_calls.sweep(never.pk).decline_reason == "never_received"
    till.gateway.fault("pending", match=match)
    slow = refund_calls.send(give(payment, "40.00").pk)
    assert (slow.state, look(slow).state) == ("pending", "pending")
    till.gateway.settle(slow.gateway_id, "insufficient_funds")
    assert look(slow).state == "failed"
    assert "insufficient_funds" in till.work(slow)
    assert payment.refundable() == Decimal("369.00")
    agreed(till)


def test_charge_claimed_before_a_refusal_and_captured_after_goes_back(
    till: Till, deliver: Callable[[], int]
) -> None:
    method = till.method()
    charge = till.charge(method)
    till.gateway.fault("hold", seconds=30, match={"operation": "create_payment", "shop": till.shop})

    sending = thread(till, lambda: payments.send(charge.pk))
    eventually(lambda: till.gateway.log(operation="create_payment", shop=till.shop, held="true"))
    payments.refuse_method(method, actor="customer")
    payments.refuse_method(method, actor="customer")
    till.gateway.release()
    sending.join()
    deliver()
    charge.refresh_from_db()
    assert (charge.state, charge.is_lost, charge.decline_reason) == ("refunded", True, "permission_revoked")
    assert charge.refunds.get().state == "succeeded"
    assert till.events(charge) == ["payments.PaymentFailed"]
    assert till.events(method) == ["payments.MethodRefused"]
    agreed(till)


def test_charge_written_before_a_refusal_is_never_sent(till: Till) -> None:
    method = till.method()
    waiting = till.charge(method)
    claimed = till.charge(method)
    with pytest.raises(faults.Crash), faults.crash_at("payments.claimed-not-sent"):
        payments.send(claimed.pk)
    payments.refuse_method(method)
    assert payments.send(waiting.pk).decline_reason == "permission_revoked"
    # Claimed before: it may have gone out, so it is looked for and never sent again.
    assert look(claimed).state == "unknown"
    later(claimed, timedelta(minutes=20))
    assert payments.sweep(claimed.pk).decline_reason == "permission_revoked"
    assert len(till.register()[0]) == 1
    agreed(till)


def test_refusal_and_claim_exclude_each_other_only_by_the_lock(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the lock a claim waits for a refusal under way and sees it; without, it would charge a refused card."""
    method = till.method()

    def race(charge: Payment) -> str:
        done = threading.Event()

        def claim() -> None:
            payments._claim(charge.pk)
            done.set()

        with transaction.atomic():
            methods.refuse_locked(methods.lock(method), RefusalHow.CABINET)
            claiming = thread(till, claim)
            done.wait(0.5)
        claiming.join()
        charge.refresh_from_db()
        return charge.state

    charges = [till.charge(method), till.charge(method)]
    assert race(charges[0]) == "failed"
    PaymentMethod.objects.filter(pk=method.pk).update(is_active=True, refused_at=None)
    monkeypatch.setattr(
        methods, "lock_many", lambda keys, **_options: PaymentMethod.objects.in_bulk(list(keys))
    )
    assert race(charges[1]) == "sending"


def test_money_that_comes_after_a_failure_goes_back(till: Till, deliver: Callable[[], int]) -> None:
    payment = till.pending()
    Payment.objects.filter(pk=payment.pk).update(state="failed", decline_reason="never_received")
    till.gateway.pay(payment.confirmation_url)
    assert payments.settle(payment.pk).state == "refunded"
    deliver()
    assert till.events(payment) == []
    assert till.register()[1][0]["amount"] == "399.00"
    with pytest.raises(WrongMove):
        Payment.objects.get(pk=payment.pk).move("succeeded")
    agreed(till)


# A payment moves to another gateway before anything is sent: no charge of a saved method does (test_routing.py).
@pytest.mark.parametrize(
    "point", [one for one in payments.FAULT_POINTS if one != "payments.moved-not-committed"]
)
def test_crash_at_each_boundary_loses_and_doubles_nothing(till: Till, point: str) -> None:
    """A charge and its refund, with a death at one boundary; then the planned looks go on."""
    charge = till.charge(till.method())
    made = None
    try:
        with faults.crash_at(point):
            if "fetched" in point:
                till.gateway.fault("drop_answer", match={"shop": till.shop, "operation": "create_payment"})
            payments.send(charge.pk)
            look(charge)
            if "fetched" in point:
                till.gateway.fault("drop_answer", match={"shop": till.shop, "operation": "create_refund"})
            made = give(Payment.objects.get(pk=charge.pk))
            refund_calls.send(made.pk)
            look(made)
        raise AssertionError(f"{point} was not passed")
    except faults.Crash:
        pass
    assert look(charge).state in {"succeeded", "refunded"}
    made = made or give(charge)
    assert look(look(made)).state == "succeeded"
    assert len(till.register()[0]) == 2
    assert len(till.register()[1]) == 1
    assert till.events(charge) == ["payments.PaymentSucceeded"]
    agreed(till)


@pytest.mark.parametrize("point", refund_lists.FAULT_POINTS)
def test_a_crash_while_reconciling_takes_over_each_refund_once(till: Till, point: str) -> None:
    payment = till.paid()
    till.gateway.fault("drop_answer", match={"shop": till.shop, "operation": "create_refund"})
    own = give(payment, "10.00")
    refund_calls.send(own.pk)
    till.gateway.cabinet_refund(payment.gateway_id, "20.00")
    with pytest.raises(faults.Crash), faults.crash_at(point):
        refund_lists.reconcile(payment.pk)
    for _again in range(2):
        refund_lists.reconcile(payment.pk)
    assert sorted(payment.refunds.values_list("state", "amount")) == [
        ("succeeded", Decimal("10.00")),
        ("succeeded", Decimal("20.00")),
    ]
    agreed(till)


def test_only_those_who_may_move_money_give_it_back(
    till: Till, staff_client: Callable[..., Client], deliver: Callable[[], int]
) -> None:
    payment = till.paid()
    method = payment.method
    assert method is not None
    refund_page = reverse("admin:payments_payment_give_back", args=[payment.pk], **URLS)
    refuse_page = reverse("admin:payments_paymentmethod_refuse", args=[method.pk], **URLS)
    form = {"amount": "99,00", "reason_code": "refused", "route": "gateway", "key": str(uuid7())}
    clients = {}
    for role in ("support", "finance"):
        clients[role] = staff_client(till.partner, role=role, of=till.partner)
        for name in ("payment", "refund", "paymentmethod"):
            assert clients[role].get(reverse(f"admin:payments_{name}_changelist", **URLS)).status_code == 200
    shown = clients["finance"].get(reverse("admin:payments_payment_change", args=[payment.pk], **URLS))
    assert "Вернуть" in shown.content.decode()
    assert clients["support"].post(refund_page, form).status_code == 403
    assert "не больше" in clients["finance"].post(refund_page, {**form, "amount": "400"}).content.decode()
    for _click in range(2):
        assert clients["finance"].post(refund_page, form).status_code == 302
    deliver()
    refund = Refund.objects.get()
    assert (refund.state, refund.amount) == ("succeeded", Decimal("99.00"))
    assert refund.actor.startswith("staff-")
    assert clients["support"].get(refuse_page).status_code == 200
    assert PaymentMethod.objects.get().is_active
    assert clients["support"].post(refuse_page, {"how": "bank"}).status_code == 200, "not for staff to say"
    assert PaymentMethod.objects.get().is_active
    assert clients["support"].post(refuse_page, {"how": "call_centre"}).status_code == 302
    refused = PaymentMethod.objects.get()
    assert (refused.is_active, refused.refused_how) == (False, "call_centre")
    assert refused.refused_at
    agreed(till)
