"""Documents by e-mail: each is sent once to whoever gets them, with its PDF, and again when somebody asks."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from apps import journal, notifications
from apps.accounts import companies, contacts
from apps.accounts.models import Company, Customer
from apps.billing import pdf
from apps.billing.models import Collection, CreditNote, Invoice, InvoiceState
from apps.billing.paperwork import Document
from apps.core import bulk, clock, due
from apps.core.errors import Refused
from apps.notifications.attachments import Attachment
from apps.notifications.models import Message

LETTER, SOURCE = "billing.document_letter", "billing.document"
TYPE = "document_issued"
KINDS: dict[type, str] = {
    Invoice: "billing.Invoice",
    CreditNote: "billing.CreditNote",
    Document: "billing.Document",
}


def address_of(customer_id: UUID) -> str:
    """Where documents of a customer go by themselves: of a company always, of a person who asked for it; else ""."""
    if company := companies.of(customer_id):
        return str(company.documents_email)
    person = Customer.objects.get(pk=customer_id)
    return person.email if person.wants_documents else ""


def plan(printed: pdf.Printed) -> None:
    """An issued document goes to whoever gets them; in the caller's transaction, sent after it."""
    plan_many([printed])


def plan_many(printed: Sequence[pdf.Printed]) -> None:
    """`plan` of many."""
    buyers = bulk.these("uuid", {one.customer_id for one in printed})
    companies_of = dict(
        Company.objects.filter(customer__in=buyers).values_list("customer", "documents_email")
    )
    people = Customer.objects.filter(pk__in=buyers, wants_documents=True).only("email")
    emails = {one.pk: one.email for one in people} | companies_of
    now = clock.wall()
    due.schedule_many(LETTER, [(one.pk, now, None) for one in printed if emails.get(one.customer_id)])


def plan_invoice(invoice: Invoice) -> None:
    """Of invoices, those that are paid by bank go out: what a card pays at once is told of by its receipt."""
    if invoice.collection == Collection.INVOICE:
        plan(invoice)


def plan_new(invoice_ids: Iterable[UUID]) -> None:
    """The same for many new invoices of companies at once."""
    due.schedule_new(LETTER, [(key, clock.wall()) for key in invoice_ids], wall=True)


def letter_due(document_id: UUID) -> None:
    """Writes the letter with a document, once; of what is void by now, none."""
    printed = find(document_id)
    if isinstance(printed, Invoice) and printed.state not in {InvoiceState.OPEN, InvoiceState.PAID}:
        return
    if to := address_of(printed.customer_id):
        with transaction.atomic():
            _write(printed, to, key=f"document:{printed.pk}")


def send_again(printed: pdf.Printed, *, key: str, to: str = "", actor: str) -> Message:
    """A letter with a document because somebody asks for it; with the same `key` it is the same letter.

    `to` is another address than the customer's own. Raises Refused `bad_email` (400), `no_email` (409),
    `not_issued` (409), `customer_erased` (409).
    """
    if isinstance(printed, Invoice) and printed.state == InvoiceState.DRAFT:
        raise Refused("not_issued", _("Этот счёт ещё не выставлен"))
    person = Customer.objects.get(pk=printed.customer_id)
    if person.erased_at:
        raise Refused("customer_erased", _("Данные клиента стёрты: писать некому"))
    to = contacts.email(to) or address_of(person.pk) or person.email
    if not to:
        raise Refused("no_email", _("У клиента нет почты: укажите, куда отправить"))
    with transaction.atomic():
        sent = _write(printed, to, key=f"document:{printed.pk}:{key}"[:120])
        journal.record("document.sent", KINDS[type(printed)], printed.pk, actor=actor)
    return sent


def letters_of(printed: pdf.Printed) -> list[Message]:
    """Every letter that a document went out with, the last one first."""
    mine = Message.objects.filter(customer_ref=printed.customer_id, type=TYPE)
    return list(mine.filter(key__startswith=f"document:{printed.pk}").order_by("-id"))


def find(document_id: UUID) -> pdf.Printed:
    """The issued document with this id, whichever it is. Raises Document.DoesNotExist."""
    for model in (Document, Invoice, CreditNote):
        if found := model._default_manager.filter(pk=document_id).first():
            return found  # type: ignore[no-any-return,unused-ignore]
    raise Document.DoesNotExist(f"No document {document_id}")


def make(document_id: UUID) -> bytes:
    """The PDF that goes with the letter."""
    return pdf.render(find(document_id))


def _write(printed: pdf.Printed, to: str, *, key: str) -> Message:
    language = Customer.objects.values_list("language", flat=True).get(pk=printed.customer_id)
    with translation.override(language):
        context = _context(printed)
    message: Message | None = notifications.send(
        TYPE,
        to_email=to,
        customer_id=printed.customer_id,
        context=context,
        key=key,
        language=language,
        attachments=[Attachment(SOURCE, printed.pk, pdf.file_name(printed))],
    )
    assert message is not None, "there is an address"
    return message


def _context(printed: pdf.Printed) -> dict[str, Any]:
    is_open = isinstance(printed, Invoice) and printed.state == InvoiceState.OPEN
    return {
        "document": _name(printed),
        "document_number": printed.number,
        "document_date": _day(printed.business_date),
        "amount": printed.money,
        "due_date": _day(printed.due_date) if is_open and isinstance(printed, Invoice) else "",
    }


def _name(printed: pdf.Printed) -> str:
    if isinstance(printed, Invoice):
        return _("Счёт")
    if isinstance(printed, CreditNote):
        return _("Корректировка счёта")
    return str(printed.get_kind_display())


def _day(day: date) -> str:
    return f"{day:%d.%m.%Y}"
