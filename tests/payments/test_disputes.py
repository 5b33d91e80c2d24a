"""A chargeback or a claim is a case: opened once, answered by evidence, decided once, its money posted as it moved."""

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.core import clock, faults
from apps.core.errors import Refused
from apps.core.models import Event, WorkItem
from apps.core.money import Money
from apps.ledger.models import Transfer
from apps.payments import disputes, evidence, payments, refund_calls
from apps.payments.dispute_models import Dispute, DisputeFile
from apps.payments.models import Payment, Refund, WrongMove
from tests.payments.conftest import Till, agreed, thread

URLS = {"urlconf": "armor.urls_partner"}


def opened(payment: Payment, amount: str = "399.00", **options: Any) -> Dispute:
    """A chargeback as a gateway would tell of it."""
    return disputes.open(
        payment=payment,
        kind=options.pop("kind", "chargeback"),
        amount=Money(Decimal(amount)),
        reason=options.pop("reason", "Держатель карты не узнаёт операцию"),
        respond_by=options.pop("respond_by", clock.now() + timedelta(days=7)),
        **{"gateway_id": "cb-1", "reason_code": "10.4", **options},
    )


def moved(till: Till) -> set[tuple[str, str, str, Decimal]]:
    found = Transfer.objects.filter(partner=till.partner, document_kind="dispute")
    return set(found.values_list("posting", "debit", "credit", "amount"))


TAKEN = ("taken", "dispute", "clearing", Decimal("399.00"))


@pytest.mark.parametrize(
    ("state", "end"),
    [
        ("won", ("returned", "clearing", "dispute", Decimal("399.00"))),
        ("lost", ("lost", "write_off", "dispute", Decimal("399.00"))),
        ("accepted", ("lost", "write_off", "dispute", Decimal("399.00"))),
    ],
)
def test_from_opening_to_the_end_each_movement_is_posted_once(till: Till, state: str, end: Any) -> None:
    payment = till.paid()
    dispute = opened(payment)
    assert opened(payment).pk == dispute.pk, "told twice, it is one"
    item = WorkItem.objects.get(object_id=dispute.pk)
    assert item.deadline_at == dispute.respond_by
    assert moved(till) == {TAKEN}
    agreed(till)
    assert disputes.answered(dispute.pk, actor="finance").state == "under_review"
    assert not WorkItem.objects.filter(object_id=dispute.pk).exists()
    with pytest.raises(Refused, match="dispute_answered"):
        disputes.answered(dispute.pk, actor="finance")
    for _twice in range(2):
        assert disputes.decide(dispute.pk, state, actor="finance", comment="решение банка").state == state
    assert moved(till) == {TAKEN, end}
    other = "lost" if state == "won" else "won"
    with pytest.raises(Refused, match="dispute_decided"):
        disputes.decide(dispute.pk, other, actor="finance")
    with pytest.raises(WrongMove):
        Dispute.objects.get(pk=dispute.pk).move(other)
    assert payment.refundable() == (Decimal("399.00") if state == "won" else 0)
    told = Event.objects.filter(object_id=dispute.pk).values_list("type", flat=True)
    assert sorted(told) == ["payments.DisputeDecided", "payments.DisputeOpened"]
    agreed(till)


def test_disputed_money_is_not_given_back_as_well(till: Till, deliver: Callable[[], int]) -> None:
    payment = till.paid()
    dispute = opened(payment, "300.00")
    assert payment.refundable() == Decimal("99.00")
    with pytest.raises(Refused, match="refund_too_much"):
        payments.refund(payment=payment, amount=Money(Decimal("99.01")), reason="-", actor="")
    disputes.decide(dispute.pk, "won", actor="finance")
    payments.refund(payment=payment, amount=Money(Decimal("399.00")), reason="-", actor="")
    deliver()
    agreed(till)


def test_a_refund_that_was_not_sent_yet_is_not_paid_beside_a_chargeback(till: Till) -> None:
    payment = till.paid()
    written = payments.refund(payment=payment, reason="-", actor="")
    opened(payment)
    assert refund_calls.send(written.pk).decline_reason == "disputed"
    assert till.register()[1] == []
    agreed(till)


def test_a_chargeback_after_a_full_refund_is_fought_not_paid_twice(
    till: Till, deliver: Callable[[], int]
) -> None:
    payment = till.paid()
    payments.refund(payment=payment, reason="-", actor="")
    deliver()
    dispute = opened(payment)
    assert "уже возвращено" in WorkItem.objects.get(object_id=dispute.pk).reason
    assert payment.refundable() == 0
    disputes.decide(dispute.pk, "won", actor="finance")
    agreed(till)


def test_no_more_is_disputed_than_came_and_only_what_came(till: Till) -> None:
    payment = till.paid()
    opened(payment, "300.00")
    with pytest.raises(Refused, match="dispute_too_much"):
        opened(payment, "100.00", gateway_id="cb-2")
    assert opened(payment, "99.00", gateway_id="cb-2").amount == Decimal("99.00")
    with pytest.raises(Refused, match="not_paid"):
        opened(till.pending())
    claim = opened(payment, kind="claim", gateway_id="")
    assert (claim.is_taken, payment.disputed()) == (False, Decimal("399.00"))
    agreed(till)


@pytest.mark.parametrize("is_locked", [True, False])
def test_a_refund_and_a_chargeback_of_one_payment_exclude_by_its_lock(
    till: Till, monkeypatch: pytest.MonkeyPatch, is_locked: bool
) -> None:
    """The refund waits for the chargeback that is being written, and sees it; without the lock both take all."""
    payment, refused = till.paid(), []

    def give() -> None:
        try:
            payments.refund(payment=payment, reason="-", actor="")
        except Refused:
            refused.append(True)

    if not is_locked:
        monkeypatch.setattr(Payment, "locked", classmethod(lambda cls, pk: cls.objects.get(pk=pk)))
    with transaction.atomic():
        opened(payment)
        giving = thread(till, give)
        giving.join(2)
    giving.join()
    assert bool(refused) is is_locked
    assert Refund.objects.filter(payment=payment).exists() is not is_locked


def test_opened_by_many_at_once_it_is_one_case(till: Till) -> None:
    payment, start = till.paid(), threading.Barrier(4)

    def tell() -> None:
        start.wait(10)
        opened(payment)

    for worker in [thread(till, tell) for _ in range(4)]:
        worker.join()
    assert Dispute.objects.count() == 1
    assert moved(till) == {TAKEN}
    agreed(till)


@pytest.mark.parametrize("point", disputes.FAULT_POINTS)
def test_a_crash_leaves_nothing_done_and_repeated_it_is_done_once(till: Till, point: str) -> None:
    payment = till.paid()
    with pytest.raises(faults.Crash), faults.crash_at(point):
        disputes.decide(opened(payment).pk, "lost", actor="finance")
    dispute = opened(payment)
    disputes.decide(dispute.pk, "lost", actor="finance")
    assert Dispute.objects.count() == 1
    assert len(moved(till)) == 2
    agreed(till)


def test_a_card_under_dispute_is_held(till: Till) -> None:
    method = till.method()
    payment = Payment.objects.get()
    dispute = opened(payment)
    assert disputes.held_methods() == {method.pk}
    disputes.decide(dispute.pk, "won", actor="finance")
    assert not disputes.is_held(method.pk)


def test_evidence_is_kept_as_it_was_made(till: Till, deliver: Callable[[], int]) -> None:
    payment = till.paid()
    payments.refund(payment=payment, amount=Money(Decimal("9.00")), reason="по просьбе", actor="")
    deliver()
    dispute = opened(payment, "390.00")
    data = evidence.data_of(dispute)
    text = str(data)
    assert "Держатель карты не узнаёт" in text
    assert payment.gateway_id in text
    assert "по просьбе" in text
    made = evidence.make(dispute.pk, actor="finance")
    assert bytes(made.content).startswith(b"%PDF-")
    with pytest.raises(TypeError):
        made.save()
    agreed(till)


def test_the_case_page_opens_answers_and_decides(till: Till, staff_client: Callable[..., Client]) -> None:
    payment = till.paid()
    page = reverse("admin:payments_payment_dispute", args=[payment.pk], **URLS)
    day = f"{clock.today() + timedelta(days=9):%d.%m.%Y}"
    form = {
        "kind": "chargeback",
        "amount": "399",
        "reason": "не узнаёт",
        "reason_code": "4853",
        "respond_by": day,
    }
    support, finance = (
        staff_client(till.partner, role=role, of=till.partner) for role in ("support", "finance")
    )
    assert support.post(page, form).status_code == 403
    assert "не больше" in finance.post(page, {**form, "amount": "400"}).content.decode()
    assert finance.post(page, {**form, "is_taken": "on"}).status_code == 302
    dispute = Dispute.objects.get()
    assert (dispute.opened_by.startswith("staff-"), dispute.is_taken) == (True, True)

    def at(name: str) -> str:
        return reverse(f"admin:payments_dispute_{name}", args=[dispute.pk], **URLS)

    shown = support.get(at("change")).content.decode()
    assert "осталось 9 дней" in shown
    for title in ("Платёж", "Возвраты клиенту", "Кассовые чеки"):
        assert title in shown
    assert f"Получено {payment.money}" in shown
    for name in ("answered", "decide", "collect"):
        assert support.post(at(name), {}).status_code == 403
    assert finance.post(at("collect")).status_code == 302
    file = DisputeFile.objects.get()
    got = finance.get(reverse("admin:payments_disputefile_pdf", args=[file.pk], **URLS))
    assert (got["Content-Type"], got.content[:5]) == ("application/pdf", b"%PDF-")
    assert finance.post(at("answered")).status_code == 302
    assert finance.post(at("decide"), {"state": "lost", "comment": "решение банка"}).status_code == 302
    dispute.refresh_from_db()
    assert (dispute.state, dispute.comment) == ("lost", "решение банка")
    agreed(till)
