"""A balance sent back in money: as it came, the newest first, as far as each payment still has it.

What came by a gateway goes back by its payment, what came past it by an `OutsideRefund`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts import customers
from apps.billing import balances, crediting, outside_refunds, postings
from apps.billing.models import (
    CreditNote,
    Invoice,
    InvoicePayment,
    InvoiceState,
)
from apps.billing.outside_refund_models import OutsideRefund, OutsideRefundState, OutsideWay
from apps.billing.paperwork import OutsidePayment
from apps.billing.payout_models import BalancePayout
from apps.core import clock, work
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments import payments
from apps.payments.models import Payment, Refund, RefundState

ZERO = Decimal("0.00")


Sent = BalancePayout | OutsideRefund
"""A part of a balance that goes back."""


@dataclass(frozen=True, slots=True)
class Way:
    """So much of the balance can go back by this payment."""

    payment: Payment | OutsidePayment
    amount: Decimal

    @property
    def money(self) -> Money:
        """The amount with its currency."""
        return Money(self.amount, self.payment.currency)


@dataclass(frozen=True, slots=True)
class Look:
    """What stands on a balance, and by which payments how much of it can go back."""

    on_balance: Money
    ways: list[Way]

    @property
    def possible(self) -> Money:
        """All that can go back as it came."""
        return Money(sum((way.amount for way in self.ways), ZERO), self.on_balance.currency)

    @property
    def rest(self) -> Money:
        """What no payment is known to have brought, or has brought and given back already."""
        return self.on_balance - self.possible


def look(customer_id: UUID) -> Look:
    """What `pay_out` could send back now; writes nothing."""
    on_balance = balances.of(customer_id)
    return Look(on_balance, _ways(customer_id, on_balance.amount))


def pay_out(
    *,
    customer_id: UUID,
    amount: Money | None = None,
    reason: str,
    actor: str,
    key: str,
    is_by_bank: bool = False,
) -> list[Sent]:
    """Sends `amount` of a balance back (all that can go, without it), by one refund or more.

    It leaves the balance at once; what a gateway refuses comes back onto it. `is_by_bank`: what came past the
    gateways goes by bank, also where a partner's service has charged it. With the same `key` it is the same payout.
    Raises Refused: `payout_too_much` (with `possible` and `on_balance`), `key_reused` for another sum.
    """
    with transaction.atomic():
        on_balance = balances.lock(customer_id, amount.currency if amount else "RUB")
        if earlier := _earlier(key):
            return _same(earlier, customer_id, amount)
        _lock_payments(customer_id)
        seen = look(customer_id)
        wanted = amount or seen.possible
        if wanted.currency != seen.on_balance.currency or not 0 < wanted.amount <= seen.possible.amount:
            raise _too_much(seen)
        balances.take(customer_id, wanted)
        past = OutsideWay.BANK.value if is_by_bank else ""
        parts = _up_to(wanted.amount, seen.ways)
        made = [_send(way, customer_id, reason, actor, key, past=past) for way in parts]
        data = {
            "amount": str(wanted.amount),
            "was": str(on_balance),
            "reason": reason[:200],
            "refunds": [str(one.pk) for one in made],
        }
        journal.record("balance.paid-out", customers.KIND, customer_id, actor=actor, data=data)
    return made


def _earlier(key: str) -> list[Sent]:
    found: list[Sent] = [
        *BalancePayout.objects.filter(key=key),
        *OutsideRefund.objects.filter(key=key, of_balance=True),
    ]
    return sorted(found, key=lambda one: one.pk)


def _same(earlier: list[Sent], customer_id: UUID, amount: Money | None) -> list[Sent]:
    total = Money(sum((one.amount for one in earlier), ZERO), earlier[0].currency)
    if earlier[0].customer_id != customer_id or amount not in {None, total}:
        raise Refused("key_reused", _("С этим ключом возвращена другая сумма с баланса"), status=422)
    return earlier


def _too_much(seen: Look) -> Refused:
    text = str(_("С баланса можно вернуть не больше %s")) % seen.possible
    if seen.rest.amount:
        rest = _("%s тем же путём не вернуть: они пойдут в следующие счета")
        text = f"{text}. {str(rest) % seen.rest}"
    return Refused(
        "payout_too_much",
        text,
        possible=str(seen.possible.amount),
        on_balance=str(seen.on_balance.amount),
    )


def _send(way: Way, customer_id: UUID, reason: str, actor: str, key: str, *, past: str) -> Sent:
    if isinstance(way.payment, OutsidePayment):
        return outside_refunds.of_balance(
            way.payment, way.money, way=past, reason=reason, actor=actor, key=key
        )
    made = BalancePayout.objects.create(
        payment=way.payment,
        customer_id=customer_id,
        amount=way.amount,
        currency=way.payment.currency,
        reason=reason[:200],
        actor=actor[:150],
        created_at=clock.now(),
        key=key[:100],
    )
    postings.paid_out(made, _invoice_of(way.payment))
    payments.refund(
        payment=way.payment, amount=made.money, reason=reason, actor=actor, key=made.pk, is_counted=True
    )
    return made


def _up_to(amount: Decimal, ways: Iterable[Way]) -> Iterable[Way]:
    for way in ways:
        if part := min(way.amount, amount):
            yield Way(way.payment, part)
            amount -= part


def _invoice_of(payment: Payment) -> Invoice:
    return InvoicePayment.objects.select_related("invoice").get(payment=payment, failed=False).invoice


# -- where a balance came from ---------------------------------------------------------------------------


def _ways(customer_id: UUID, on_balance: Decimal) -> list[Way]:
    """What is on the balance came last: what came first was spent first. A payment that has brought it twice,
    above its invoice and by a note, is one way: it goes back by one refund.
    """
    left, ways = on_balance, dict[UUID, Way]()
    for _key, came, payment in sorted(_sources(customer_id), key=lambda one: one[0], reverse=True):
        part = min(came, left)
        left -= part
        if part > 0:
            earlier = ways.get(payment.pk)
            ways[payment.pk] = Way(payment, part + (earlier.amount if earlier else ZERO))
    return list(ways.values())


Source = tuple[UUID, Decimal, Payment | OutsidePayment]
"""The key of the document that brought it (keys are in the order of time), how much, and by which payment."""


def _sources(customer_id: UUID) -> Iterable[Source]:
    """What ever came onto a balance and did not go back."""
    credited = CreditNote.objects.filter(customer_id=customer_id, to_debt=0).order_by("pk")
    # Of each invoice its last note.
    last: dict[UUID, UUID] = dict(credited.values_list("invoice_id", "pk"))
    links = InvoicePayment.objects.select_related("payment").filter(invoice__in=list(last), failed=False)
    by_card = {link.invoice_id: link.payment for link in links}
    for invoice_id, note in last.items():
        if payment := by_card.get(invoice_id):
            yield note, payment.given_elsewhere(), payment
    yield from _past_gateway(customer_id, {key: note for key, note in last.items() if key not in by_card})


def _past_gateway(customer_id: UUID, credited: dict[UUID, UUID]) -> Iterable[Source]:
    came: dict[UUID, list[OutsidePayment]] = defaultdict(list)
    for made in OutsidePayment.objects.select_related("invoice").filter(customer_id=customer_id):
        came[made.invoice_id].append(made)
    notes = CreditNote.objects.filter(invoice__in=list(credited)).values_list("invoice")
    noted = dict(notes.annotate(total=Sum("to_balance")).order_by())
    gone = OutsideRefund.objects.select_related("outside").filter(customer_id=customer_id)
    gone = gone.exclude(state=OutsideRefundState.FAILED)
    for invoice_id, payments_of_it in came.items():
        back = [one for one in gone if one.outside.invoice_id == invoice_id]
        yield from _of_invoice(payments_of_it, back, noted.get(invoice_id) or ZERO, credited.get(invoice_id))


def _of_invoice(
    came: list[OutsidePayment], back: list[OutsideRefund], noted: Decimal, note: UUID | None
) -> Iterable[Source]:
    """What of an invoice's outside payments stands on the balance: none gives back more than it brought."""
    is_void = came[0].invoice.state == InvoiceState.VOID
    own = sum((one.to_balance + (one.amount if is_void else ZERO) for one in came), ZERO)
    noted = min(noted, sum((one.amount for one in came), ZERO))
    # What is only asked for has not left the invoice yet, and no balance.
    left = own + noted - sum((one.amount for one in back if one.of_balance or one.note_id), ZERO)
    by_note = min(noted, max(left, ZERO))
    for made in came:
        rest = made.total.amount - sum((one.amount for one in back if one.outside_id == made.pk), ZERO)
        for key, most in ((note, by_note), (made.pk, made.to_balance + (made.amount if is_void else ZERO))):
            if key is not None and (part := min(most, rest, left)) > 0:
                yield key, part, made
                rest, left = rest - part, left - part
                by_note -= part if key == note else ZERO


def _lock_payments(customer_id: UUID) -> None:
    """As refunds lock them, so that nothing goes back both ways."""
    mine = InvoicePayment.objects.filter(invoice__customer=customer_id, failed=False)
    mine = mine.filter(invoice__credit_notes__isnull=False)
    keys = list(mine.values_list("payment_id", flat=True).distinct())
    list(Payment.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk").values_list("pk"))


# -- what becomes of it ----------------------------------------------------------------------------------


def refund_failed(refund_id: UUID) -> None:
    """A gateway would not send the money of a payout or of a credit note: it stands on the balance again."""
    refund = Refund.objects.select_related("payment").get(pk=refund_id)
    if refund.state != RefundState.FAILED:
        return
    payout = BalancePayout.objects.filter(pk=refund_id).first()
    if payout is not None:
        balances.lock(payout.customer_id, payout.currency)
        payout = BalancePayout.objects.select_for_update(no_key=True).get(pk=refund_id)
        if payout.returned_at is None:
            payout.returned_at = clock.now()
            payout.save(update_fields=["returned_at"])
            postings.payout_returned(payout, _invoice_of(refund.payment))
            balances.add(payout.customer_id, payout.money)
        return
    note = CreditNote.objects.filter(pk=refund_id).first()
    if note is not None and not crediting.is_note_returned(note):
        balances.lock(note.customer_id, note.currency)
        crediting.note_returned(note)
        balances.add(note.customer_id, Money(note.to_refund, note.currency))


def unasked(refund: Refund, invoice: Invoice, amount: Decimal) -> None:
    """Sent back in the gateway's cabinet although the customer had it on the balance: it comes off the balance.

    What is there no more, the customer owes: staff see it in their queue.
    """
    taken = balances.take(invoice.customer_id, Money(amount, refund.currency))
    if taken:
        made = BalancePayout.objects.create(
            pk=refund.pk,
            payment_id=refund.payment_id,
            customer_id=invoice.customer_id,
            amount=taken,
            currency=refund.currency,
            reason=refund.reason,
            actor=refund.actor,
            created_at=clock.now(),
            key=f"refund:{refund.pk}",
        )
        postings.paid_out(made, invoice)
    if taken < amount:
        owed = Money(amount - taken, refund.currency)
        work.open("payments.refund", refund.pk, _("Возвращено на %s больше, чем следовало") % owed)
