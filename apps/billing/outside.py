"""Money for an invoice that came past our gateway: entered once, in parts where need be, the rest on the balance."""

from datetime import date
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import balances, collecting, invoices, money_in, subscriptions
from apps.billing.models import Collection, Invoice, InvoiceState
from apps.billing.paperwork import MoneySource, OutsidePayment
from apps.core import clock
from apps.core.errors import Refused
from apps.core.money import Money
from apps.partners import books

COLLECTED_BY = {
    MoneySource.BANK.value: Collection.INVOICE.value,
    MoneySource.PARTNER_REPORT.value: Collection.PARTNER_REPORTS.value,
    MoneySource.PARTNER_CHARGE.value: Collection.PARTNER_CHARGES.value,
}


def receive(
    *,
    invoice_id: UUID,
    source: str,
    amount: Money,
    paid_date: date,
    reference: str,
    key: str,
    actor: str = "",
    accept_part: bool = False,
    keep_rest: bool = False,
) -> OutsidePayment:
    """Enters money that came. The invoice is paid with its last kopeck; the same `key` again is the same entry.

    `paid_date` is the bank's (or the partner's) day; in closed books it is posted to the first open one. A part of
    what is owed is taken with `accept_part`, more than is owed with `keep_rest`: the rest stays on the balance, and
    so does all of it for an invoice that is not open any more. Raises Refused: `paid_otherwise`, `bad_amount`,
    `bad_date`, `payment_known`, `key_reused`, `not_enough` and `too_much` (both with `left`), `invoice_closed`.
    """
    subscription_id = Invoice.objects.values_list("subscription_id", flat=True).get(pk=invoice_id)
    with transaction.atomic():
        subscription = subscriptions.locked_with_parent(subscription_id) if subscription_id else None
        invoice = invoices.locked(invoice_id)
        if earlier := OutsidePayment.objects.filter(key=key).first():
            return _same(earlier, invoice, amount, reference)
        _check(invoice, source, amount, paid_date, reference)
        open_sum = money_in.left(invoice).amount
        pays = min(amount.amount, open_sum)
        if pays < open_sum and not accept_part:
            raise Refused(
                "not_enough",
                _("Осталось оплатить %s: внесите как часть оплаты или проверьте сумму")
                % money_in.left(invoice),
                left=str(open_sum),
            )
        if pays < amount.amount and not keep_rest:
            raise Refused(
                "too_much",
                _("Это больше, чем осталось оплатить (%s): отметьте, что лишнее останется на балансе")
                % money_in.left(invoice),
                left=str(open_sum),
            )
        made = OutsidePayment.objects.create(
            invoice=invoice,
            customer_id=invoice.customer_id,
            legal_entity_id=invoice.legal_entity_id,
            source=source,
            reference=reference,
            paid_date=paid_date,
            business_date=books.open_day(invoice.legal_entity_id, paid_date),
            amount=pays,
            to_balance=amount.amount - pays,
            currency=amount.currency,
            actor=actor[:150],
            entered_at=clock.now(),
            key=key[:100],
        )
        money_in.post_payment(made, invoice)
        if made.to_balance:
            balances.add(invoice.customer_id, Money(made.to_balance, made.currency))
        data = {"amount": str(amount.amount), "reference": reference, "date": str(paid_date)}
        journal.record("invoice.money-received", invoices.KIND, invoice.pk, actor=actor, data=data)
        if pays and pays == open_sum:
            collecting.settle(invoice, subscription)
    return made


def _same(earlier: OutsidePayment, invoice: Invoice, amount: Money, reference: str) -> OutsidePayment:
    if (earlier.invoice_id, earlier.total, earlier.reference) != (invoice.pk, amount, reference):
        raise Refused("key_reused", _("С этим ключом внесено другое поступление"), status=422)
    return earlier


def _check(invoice: Invoice, source: str, amount: Money, paid_date: date, reference: str) -> None:
    if COLLECTED_BY[source] != invoice.collection:
        told = _("Этот счёт оплачивают иначе: %s") % invoice.get_collection_display()
        raise Refused("paid_otherwise", told)
    if invoice.state == InvoiceState.DRAFT or (
        source != MoneySource.BANK and invoice.state != InvoiceState.OPEN
    ):
        raise Refused("invoice_closed", _("Этот счёт уже оплачен или аннулирован"))
    if amount.amount <= 0 or amount.currency != invoice.currency:
        raise Refused("bad_amount", _("Сумма: больше нуля, в валюте счёта"), status=400)
    if paid_date > clock.today():
        raise Refused("bad_date", _("Дата платежа ещё не наступила"), status=400)
    known = OutsidePayment.objects.filter(invoice=invoice, reference=reference, paid_date=paid_date)
    if known.exists():
        known_as = {"reference": reference, "day": f"{paid_date:%d.%m.%Y}"}
        raise Refused(
            "payment_known", _("Платёж № %(reference)s от %(day)s по этому счёту уже внесён") % known_as
        )
