"""How a refund ends: by what its gateway shows of it, or by a payment order where no gateway sends it any more."""

from collections.abc import Iterable
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.core import clock, due, events, search, work
from apps.core.ids import uuid7
from apps.payments import receipts, timing
from apps.payments.bank_payout_models import BankPayout
from apps.payments.gateway import CARD_CLOSED, GatewayRefund, Status
from apps.payments.models import Payment, PaymentState, Refund, RefundRoute, RefundState
from apps.payments.postings import post_refund
from apps.payments.receipt_models import refund_key

SWEEP = "payments.refund_sweep"
DISPUTED = "disputed"
"""Why a refund failed before it was sent: the bank has taken the same money."""


def locked(refund_ids: Iterable[UUID]) -> list[Refund]:
    """Refunds as they stand now, locked in the order of their ids, with their payments at hand."""
    keys = list(refund_ids)
    # The payments first, as everywhere: it is what the sum of refunds is counted under.
    rows = Payment.objects.select_for_update(no_key=True, of=("self",)).select_related("connection")
    of_these = Refund.objects.filter(pk__in=keys).values("payment")
    payments = {one.pk: one for one in rows.filter(pk__in=of_these).order_by("pk")}
    found = list(Refund.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk"))
    for made in found:
        made.payment = payments[made.payment_id]
    return found


def overdrawn(payment: Payment) -> bool:
    """Whether refunds and chargebacks together are of more than came."""
    return payment.given_back() + payment.disputed() > payment.amount


def judge(made: Refund, seen: GatewayRefund) -> None:
    """What becomes of a locked refund by what the gateway shows of it, if that is really this refund."""
    if not made.is_open or made.route == RefundRoute.BANK:
        return
    ours = (made.amount, made.currency, made.payment.gateway_id, str(made.pk))
    if ours != (seen.amount.amount, seen.amount.currency, seen.payment_gateway_id, seen.key):
        work.open("payments.refund", made.pk, str(_("У шлюза другой возврат: %s") % seen.gateway_id))
        return
    made.gateway_id = seen.gateway_id
    if seen.status == Status.SUCCEEDED:
        succeed(made)
    elif seen.status == Status.CANCELED:
        fail(made, seen.reason or "canceled")
    elif made.state != RefundState.PENDING:
        made.move(RefundState.PENDING)
        made.save(update_fields=["state", "gateway_id"])
        look(made)


def look(made: Refund) -> None:
    """A locked refund is asked about, ever less often."""
    due.schedule(SWEEP, made.pk, timing.next_look(made), wall=True, lane=made.payment.connection_id)


def succeed(made: Refund) -> None:
    """The money of a locked refund has gone back."""
    made.move(RefundState.SUCCEEDED)
    made.settled_at = clock.now()
    made.save(update_fields=["state", "gateway_id", "settled_at"])
    post(made)
    due.cancel(SWEEP, made.pk)
    work.close("payments.refund", made.pk)


def post(made: Refund) -> None:
    """What follows from money that has gone back: postings, its receipt, an event."""
    payment = made.payment
    post_refund(made, payment.connection)
    receipts.plan_refund(made)
    search.index("payments.refund", made.pk, [made.gateway_id])
    done = payment.refunds.filter(state=RefundState.SUCCEEDED)
    if payment.state == PaymentState.SUCCEEDED and sum(row.amount for row in done) >= payment.amount:
        payment.move(PaymentState.REFUNDED)
        payment.save(update_fields=["state"])
    events.publish("payments.RefundSucceeded", made.pk, payment_id=payment.pk)


def fail(made: Refund, reason: str) -> None:
    """A locked refund was refused; where the card is closed it goes another way."""
    if reason in CARD_CLOSED and made.route == RefundRoute.GATEWAY:
        _turn_to_bank(made, reason)
        return
    end(made, reason)
    work.open("payments.refund", made.pk, str(_("Возврат не исполнен: %s") % reason))


def end(made: Refund, reason: str) -> None:
    """Ends a locked refund without money: what was reserved is free."""
    made.move(RefundState.FAILED)
    made.settled_at, made.decline_reason = clock.now(), reason
    made.save(update_fields=["state", "gateway_id", "settled_at", "decline_reason"])
    receipts.drop([refund_key(made)])
    due.cancel(SWEEP, made.pk)
    events.publish("payments.RefundFailed", made.pk, payment_id=made.payment_id)


# -- by a payment order -----------------------------------------------------------------------------


def _turn_to_bank(made: Refund, reason: str) -> None:
    """The card is closed and the money is still owed: it is the same refund, by a payment order from now on."""
    if made.state != RefundState.PENDING:
        made.move(RefundState.PENDING)
    receipts.drop([refund_key(made)])
    made.route, made.decline_reason = RefundRoute.BANK, reason
    # The gateway's number was of an attempt that brought nothing.
    made.gateway_id = ""
    made.save(update_fields=["state", "route", "decline_reason", "gateway_id"])
    due.cancel(SWEEP, made.pk)
    order(made)


def order(made: Refund) -> None:
    """The payment order of a refund that no gateway sends: staff and the customer are asked for the details."""
    BankPayout.objects.create(
        id=uuid7(),
        refund=made,
        legal_entity_id=made.payment.connection.legal_entity_id,
        amount=made.amount,
        currency=made.currency,
        created_at=clock.now(),
    )
    told = str(_("Нужны реквизиты, чтобы вернуть %s переводом")) % made.money
    work.open("payments.refund", made.pk, told, deadline_at=timing.deadline(made.due_date))
