"""What a change in a subscription's life does to its money today: the engine's difference as notes and invoices."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.billing import balances, credits, facts, given_back, invoices, returnable, terms
from apps.billing.engine import Charge, Credit, Difference
from apps.billing.facts import Facts
from apps.billing.models import (
    CreditNote,
    Invoice,
    InvoiceLine,
    InvoicePurpose,
    InvoiceState,
    Subscription,
    SubscriptionPhase,
)
from apps.core import clock
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money, vat_inside
from apps.payments.models import PaymentMethod
from apps.policies import vat

ZERO = Decimal("0.00")


def facts_of(subscription: Subscription, day: date) -> Facts:
    """All that counts of a subscription from the period that contains `day` on."""
    [found] = facts.load([subscription], since=day)
    return found


def with_terms(one: Facts, rows: Sequence[SubscriptionPhase]) -> Facts:
    """The same facts, had the subscription these terms instead: `rows` need not be saved."""
    rows = sorted(rows, key=lambda row: (row.start_date, row.pk))
    return replace(one, terms=list(rows), phases=[facts.phase_of(row) for row in rows])


def if_ended(subscription: Subscription, day: date) -> Difference:
    """What is owed back where the subscription is over with `day`, its first day without the product."""
    found = facts_of(subscription, day).difference(day, ends=day)
    return Difference(found.charges, fitting(found.credits))


def credit(
    parts: Iterable[Credit],
    *,
    reason: str,
    to_card: bool = False,
    actor: str = "",
) -> list[CreditNote]:
    """Notes of what was billed too much, one for each invoice: onto the balance, or back by the payment."""
    by_line = {part.line: part for part in parts}
    by_invoice: dict[UUID, list[credits.Part]] = defaultdict(list)
    for line in InvoiceLine.objects.filter(pk__in=list(by_line)).order_by("invoice", "position"):
        part = by_line[line.pk]
        by_invoice[line.invoice_id].append(credits.Part(part.line, part.amount, part.start, part.end))
    # All of them before the first number: everybody's order.
    locked = credits.lock(by_invoice)
    return [
        credits.issue(
            invoice=invoice,
            parts=fitting,
            reason=reason,
            key=f"{reason}:{invoice.pk}:{uuid7()}",
            to_card=to_card,
            actor=actor,
        )
        for invoice in locked
        if (fitting := _within(invoice, by_invoice[invoice.pk]))
    ]


def hold(subscription: Subscription, parts: Iterable[Credit]) -> None:
    """Locks what `credit` of these goes by, and the balance: what is read from now on is what will be given."""
    lines = InvoiceLine.objects.filter(pk__in=[part.line for part in parts])
    credits.lock(set(lines.values_list("invoice_id", flat=True)))
    balances.lock(subscription.customer_id, subscription.currency)


def fitting(parts: Iterable[Credit]) -> list[Credit]:
    """Of what is owed back, what `credit` will give: no more than went back of its invoices already leaves."""
    parts = list(parts)
    lines = InvoiceLine.objects.filter(pk__in=[part.line for part in parts]).select_related("invoice")
    of_line = {line.pk: line.invoice for line in lines}
    by_invoice: dict[UUID, list[Credit]] = defaultdict(list)
    for part in parts:
        by_invoice[of_line[part.line].pk].append(part)
    return [one for mine in by_invoice.values() for one in _within(of_line[mine[0].line], mine)]


_Part = TypeVar("_Part", Credit, credits.Part)


def _within(invoice: Invoice, parts: Iterable[_Part]) -> list[_Part]:
    """No more than is left of an invoice and its lines after what went back of it already."""
    if invoice.state not in {InvoiceState.OPEN, InvoiceState.PAID}:
        return []
    of_lines = given_back.left_of_lines(invoice, invoice.lines.all())
    left, kept = returnable.left(invoice), []
    for part in parts:
        amount = min(part.amount, of_lines[part.line], left)
        if amount > 0:
            kept.append(replace(part, amount=amount))
            of_lines[part.line] -= amount
            left -= amount
    return kept


def draft(
    subscription: Subscription,
    charges: Sequence[tuple[Charge, SubscriptionPhase]],
    *,
    purpose: str = InvoicePurpose.CHANGE,
    credit_applied: Decimal = ZERO,
    order_id: UUID | None = None,
    method: PaymentMethod | None = None,
) -> Invoice:
    """An invoice of these charges without a number; its lines get their days and phases by `date_lines`.

    `method` is what it will be charged by.
    """
    today = clock.today()
    lines = [
        InvoiceLine(
            subscription=subscription,
            product_id=subscription.product_id,
            tariff_version_id=row.tariff_version_id,
            position=position,
            description=row.name,
            quantity=row.quantity,
            discount=charge.discount,
            amount=charge.amount,
            part=charge.part,
            vat_rate=(rate := vat.percent(row.vat_code, today)),
            vat=vat_inside(charge.amount, rate),
            terms=terms.of_line(
                terms.of_sale(
                    product_id=subscription.product_id,
                    tariff_version_id=row.tariff_version_id,
                    day=today,
                    method=method,
                    collection=subscription.collection,
                ),
                gross=charge.gross,
                price=row.price,
                quantity=row.quantity,
            ),
        )
        for position, (charge, row) in enumerate(charges, start=1)
    ]
    return invoices.draft_of(
        subscription, lines, purpose=purpose, order_id=order_id, credit_applied=credit_applied
    )


def date_lines(invoice: Invoice, charges: Sequence[tuple[Charge, SubscriptionPhase]]) -> None:
    """Gives the lines of an invoice the days and saved phases of its charges, in the same order."""
    for line, (charge, row) in zip(invoice.lines.order_by("position"), charges, strict=True):
        line.phase, line.period_date = row, charge.period
        line.period_start, line.period_end = charge.start, charge.end
        line.save(update_fields=["phase", "period_date", "period_start", "period_end"])


def settle(invoice: Invoice, charges: Sequence[tuple[Charge, SubscriptionPhase]]) -> None:
    """A draft that is paid, by its payment or by the balance, or both: dated, issued and paid in one."""
    date_lines(invoice, charges)
    if invoice.credit_applied:
        taken = balances.take(invoice.customer_id, Money(invoice.credit_applied, invoice.currency))
        if taken != invoice.credit_applied:
            raise RuntimeError(f"The balance has {taken} of {invoice.credit_applied}")
    invoices.mark_paid(invoices.issue(invoice))


def must_be_settled(subscription: Subscription) -> None:
    """Raises Refused `invoice_open` while an invoice of it is unpaid: terms do not move under a charge."""
    # An add-on is billed with its parent.
    mine = [key for key in (subscription.pk, subscription.parent_id) if key]
    if Invoice.objects.filter(subscription__in=mine, state=InvoiceState.OPEN).exists():
        raise Refused("invoice_open", _("Есть неоплаченный счёт: сначала оплатите его"))
