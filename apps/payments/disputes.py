"""Chargebacks and claims: opened once, answered in time, decided once; money is posted as the bank moves it.

A lost chargeback is a loss and no refund: what was sold was sold, its invoice stays paid and its income stands. Where
the customer is right, staff give back (or credit) instead, and close the dispute as accepted.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import clock, due, events, faults, search, work
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments import dispute_letters
from apps.payments.dispute_models import OPEN_DISPUTES, Dispute, DisputeKind, DisputeState
from apps.payments.models import Payment, PaymentState
from apps.payments.postings import post_dispute

KIND = "payments.Dispute"
FAULT_POINTS = ("payments.dispute-opened", "payments.dispute-decided")
"""Boundaries before the commits of `open` and `decide`: a crash there leaves nothing done."""
DECIDED = (DisputeState.WON, DisputeState.LOST, DisputeState.ACCEPTED)


def open(
    *,
    payment: Payment,
    kind: str,
    amount: Money,
    reason: str,
    respond_by: datetime,
    gateway_id: str = "",
    reason_code: str = "",
    is_taken: bool | None = None,
    actor: str = "",
) -> Dispute:
    """Opens a case, once for each `gateway_id` of a payment; staff have it in their queue with its deadline.

    `is_taken`: whether the bank has taken the money already; at a chargeback it has, unless told otherwise. It is not
    given back by a refund then. Raises Refused: `not_paid`, `dispute_too_much` (of more than the payment brought).
    """
    is_taken = kind == DisputeKind.CHARGEBACK if is_taken is None else is_taken
    with transaction.atomic():
        payment = Payment.locked(payment.pk)
        if gateway_id and (known := payment.disputes.filter(gateway_id=gateway_id).first()):
            return known
        _check(payment, amount, kind)
        made = Dispute.objects.create(
            payment=payment,
            kind=kind,
            amount=amount.amount,
            currency=amount.currency,
            reason_code=reason_code[:40],
            reason=reason[:500],
            respond_by=respond_by,
            gateway_id=gateway_id[:100],
            is_taken=is_taken,
            opened_at=clock.now(),
            opened_by=actor[:150],
        )
        if is_taken:
            post_dispute(made, "taken")
        _watch(made, _first_words(made))
        search.index(KIND, made.pk, [gateway_id])
        _note("dispute.opened", made, actor)
        events.publish("payments.DisputeOpened", made.pk, payment_id=payment.pk)
        faults.at("payments.dispute-opened")
    return made


def _check(payment: Payment, amount: Money, kind: str) -> None:
    if payment.state not in {PaymentState.SUCCEEDED, PaymentState.REFUNDED}:
        raise Refused("not_paid", _("Этот платёж не был оплачен: оспаривать нечего"))
    before = Decimal("0.00")
    if kind == DisputeKind.CHARGEBACK:
        others = payment.disputes.filter(kind=kind).exclude(state=DisputeState.WON)
        before = others.aggregate(total=Sum("amount"))["total"] or before
    if amount.currency != payment.currency or not 0 < amount.amount <= payment.amount - before:
        left = Money(payment.amount - before, payment.currency)
        raise Refused("dispute_too_much", _("По этому платежу можно оспорить не больше %s") % left)


def _first_words(made: Dispute) -> str:
    back = made.payment.given_back()
    if made.kind == DisputeKind.CHARGEBACK and back + made.amount > made.payment.amount:
        told = _("Чарджбэк на %(sum)s, а клиенту уже возвращено %(back)s: оспорьте его")
        return str(told) % {"sum": made.money, "back": Money(back, made.currency)}
    if made.kind == DisputeKind.CHARGEBACK:
        return str(_("Чарджбэк на %s: отправьте доказательства до срока")) % made.money
    return str(_("Претензия на %s: ответьте до срока")) % made.money


def _watch(made: Dispute, told: str) -> None:
    work.open(KIND, made.pk, told, deadline_at=made.respond_by)
    dispute_letters.plan(made)


def _watch_no_more(made: Dispute) -> None:
    work.close(KIND, made.pk)
    due.cancel(dispute_letters.REMIND, made.pk)


def answered(dispute_id: UUID, *, actor: str) -> Dispute:
    """The evidence went to the bank, or the answer to the customer: it is theirs to decide. Raises Refused."""
    with transaction.atomic():
        made = _locked(dispute_id)
        if made.state != DisputeState.NEEDS_RESPONSE:
            raise Refused("dispute_answered", _("Ответ по этому делу уже отправлен"))
        made.move(DisputeState.UNDER_REVIEW)
        made.answered_at = clock.now()
        made.save(update_fields=["state", "answered_at"])
        _watch_no_more(made)
        _note("dispute.answered", made, actor)
    return made


def ask_again(dispute_id: UUID, *, respond_by: datetime, reason: str, actor: str) -> Dispute:
    """The bank wants more: there is a new deadline. Raises Refused where it is not under review."""
    with transaction.atomic():
        made = _locked(dispute_id)
        if made.state != DisputeState.UNDER_REVIEW:
            raise Refused("dispute_not_reviewed", _("Это дело сейчас не на рассмотрении"))
        made.move(DisputeState.NEEDS_RESPONSE)
        made.respond_by = respond_by
        made.save(update_fields=["state", "respond_by"])
        _watch(made, reason)
        dispute_letters.asked_again(made)
        _note("dispute.asked-again", made, actor, reason=reason)
    return made


def decide(dispute_id: UUID, state: str, *, actor: str, comment: str = "") -> Dispute:
    """How it ended: won, lost or accepted without a fight. Money that the bank had taken is posted with it, once.

    Raises Refused `dispute_decided` where it has ended otherwise already.
    """
    if state not in DECIDED:
        raise ValueError(state)
    with transaction.atomic():
        made = _locked(dispute_id)
        if made.state == state:
            return made
        if not made.is_open:
            raise Refused("dispute_decided", _("Это дело уже закрыто: %s") % made.get_state_display())
        made.move(state)
        made.decided_at, made.decided_by, made.comment = clock.now(), actor[:150], comment[:500]
        made.save(update_fields=["state", "decided_at", "decided_by", "comment"])
        if made.is_taken:
            post_dispute(made, "returned" if state == DisputeState.WON else "lost")
        _watch_no_more(made)
        _note(f"dispute.{state}", made, actor, comment=comment)
        events.publish("payments.DisputeDecided", made.pk, payment_id=made.payment_id)
        faults.at("payments.dispute-decided")
    return made


def _locked(dispute_id: UUID) -> Dispute:
    # The payment first, as everywhere: what can be given back is counted under it.
    Payment.objects.select_for_update(no_key=True).get(disputes=dispute_id)
    return Dispute.locked(dispute_id)


def _note(action: str, made: Dispute, actor: str, **more: str) -> None:
    data = {"amount": str(made.amount), "payment": str(made.payment_id), **more}
    journal.record(action, KIND, made.pk, actor=actor, data=data)


def held_methods() -> set[UUID]:
    """Saved methods by which nothing is charged now: a chargeback about them is not decided yet."""
    about = Dispute.objects.filter(kind=DisputeKind.CHARGEBACK, state__in=sorted(OPEN_DISPUTES))
    return set(about.exclude(payment__method=None).values_list("payment__method_id", flat=True))


def is_held(method_id: UUID | None) -> bool:
    """Whether nothing is charged by a method until a chargeback about it is decided."""
    return (
        method_id is not None
        and Dispute.objects.filter(
            kind=DisputeKind.CHARGEBACK, state__in=sorted(OPEN_DISPUTES), payment__method=method_id
        ).exists()
    )
