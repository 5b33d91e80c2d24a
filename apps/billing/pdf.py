"""Documents as PDFs: data in JSON, set by typst with the fonts of its own wheel."""

import json
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import typst
from django.utils import translation
from django.utils.translation import gettext as _

from apps.billing import money_in, parties
from apps.billing.models import Collection, CreditNote, Invoice, InvoicePurpose, InvoiceState
from apps.billing.paperwork import Document, DocumentKind
from apps.billing.words import in_words
from apps.core import clock
from apps.core.money import Money
from apps.partners.models import LegalEntity

TEMPLATE = Path(__file__).with_name("document.typ")
Printed = Invoice | CreditNote | Document


def render(printed: Printed) -> bytes:
    """The document in Russian, as a PDF of one or more A4 pages."""
    with translation.override("ru"):
        data = json.dumps(data_of(printed), ensure_ascii=False)
    # A compiler of its own each time: it costs nothing beside setting the page, and threads share none.
    compiler = typst.Compiler(font_paths=_fonts(), ignore_system_fonts=True)
    pdf = compiler.compile(input=_template(), format="pdf", sys_inputs={"document": data})
    assert isinstance(pdf, bytes)  # only pictures come one a page
    return pdf


def file_name(printed: Printed) -> str:
    """What the file is called when it is kept."""
    return f"{printed.number or printed.pk}.pdf".replace("/", "-").replace('"', "")


@cache
def _fonts() -> Any:
    # Finding fonts costs more than setting a page: once per process. The system's are left out, so that a
    # document looks the same everywhere.
    return typst.Fonts(include_system_fonts=False)


@cache
def _template() -> bytes:
    return TEMPLATE.read_bytes()


def data_of(printed: Printed) -> dict[str, Any]:
    """All that the template shows, in words."""
    if isinstance(printed, Invoice):
        return _invoice(printed)
    return _note(printed) if isinstance(printed, CreditNote) else _document(printed)


def _invoice(invoice: Invoice) -> dict[str, Any]:
    by_bank = invoice.collection == Collection.INVOICE
    sums = [
        (_("Зачтено с баланса"), invoice.credit_applied),
        (_("Снято корректировками"), invoice.debt_credited),
    ]
    if by_bank:
        sums.append((_("Оплачено"), money_in.received(invoice)))
    shown = [[name, _money(amount, invoice)] for name, amount in sums if amount]
    if shown and invoice.state == InvoiceState.OPEN:
        owed = money_in.left(invoice) if by_bank else invoice.due_money
        shown.append([_("К оплате"), str(owed)])
    data = _common(invoice, _("Счёт"), state=str(invoice.get_state_display()), frozen=invoice.parties)
    return data | {
        "lines": [_line(_of_line(line), invoice.currency) for line in invoice.lines.all()],
        "sums": shown,
        "bank": data["seller"] if by_bank and data["seller"].get("account") else None,
        "words": in_words(invoice.total) if by_bank and invoice.currency == "RUB" else "",
        "notes": [*_paid_note(invoice), *_partner_note(invoice)],
        "signatures": [{"role": _("Поставщик"), "name": data["seller"].get("signer", "")}] if by_bank else [],
    }


def _paid_note(invoice: Invoice) -> list[str]:
    if invoice.paid_at:
        return [_("Оплачен {day}").format(day=f"{clock.local(invoice.paid_at):%d.%m.%Y}")]
    if invoice.state != InvoiceState.OPEN:
        return []
    told = [_("Оплатить до {day}").format(day=f"{invoice.due_date:%d.%m.%Y}")]
    if invoice.collection == Collection.INVOICE:
        told.append(
            _("В назначении платежа укажите: оплата по счёту № {number}").format(number=invoice.number)
        )
    return told


def _partner_note(invoice: Invoice) -> list[str]:
    is_partners = invoice.purpose == InvoicePurpose.PARTNER
    return [
        _("За клиентов партнёра, по количеству; цена строки — за одного клиента, умноженная на количество")
    ] * (is_partners)


def _note(note: CreditNote) -> dict[str, Any]:
    invoice = note.invoice
    data = _common(note, _("Корректировка"), state=str(note.get_reason_display()), frozen=invoice.parties)
    gave = [
        (_("Уменьшен долг по счёту"), note.to_debt),
        (_("Зачислено на баланс"), note.to_balance),
        (_("Возвращено тем же способом, каким оплачено"), note.to_refund),
    ]
    lines = [
        {
            "description": part.invoice_line.description,
            "quantity": part.invoice_line.quantity,
            "period_start": part.period_start,
            "period_end": part.period_end,
            "amount": part.amount,
            "vat_rate": part.invoice_line.vat_rate,
            "vat": part.vat,
        }
        for part in note.lines.select_related("invoice_line").order_by("pk")
    ]
    return data | {
        "basis": _basis(invoice),
        "lines": [_line(one, note.currency) for one in lines],
        "total_is": _("Уменьшение"),
        "sums": [[name, _money(amount, note)] for name, amount in gave if amount],
        "words": in_words(note.total) if note.currency == "RUB" and invoice.parties else "",
    }


def _document(document: Document) -> dict[str, Any]:
    is_act = document.kind == DocumentKind.ACT
    title = _("Акт об оказании услуг") if is_act else str(document.get_kind_display())
    data = _common(document, title, state=str(document.get_kind_display()), frozen=document.parties)
    notes = [document.details] if document.details else []
    if is_act:
        notes.append(_("Услуги оказаны полностью и в срок, претензий по объёму и качеству нет."))
    return data | {
        "seller_is": _("Исполнитель") if is_act else data["seller_is"],
        "buyer_is": _("Заказчик") if is_act else data["buyer_is"],
        "basis": _basis(document.invoice),
        "lines": [_line(_of_json(one), document.currency) for one in document.lines],
        "words": in_words(document.total) if is_act and document.currency == "RUB" else "",
        "notes": notes,
        "signatures": [
            {"role": _("Исполнитель"), "name": data["seller"].get("signer", "")},
            {"role": _("Заказчик"), "name": ""},
        ]
        if is_act
        else [],
    }


def _common(printed: Printed, title: str, *, state: str, frozen: Any) -> dict[str, Any]:
    """Title and parties; of a person's documents these are what is known now: nobody erased is printed."""
    number = printed.number or _("без номера")
    seller = (
        frozen["seller"] if frozen else parties.seller(LegalEntity.objects.get(pk=printed.legal_entity_id))
    )
    buyer = frozen["buyer"] if frozen else _person(printed.customer)
    return {
        "title": _("{what} № {number} от {day}").format(
            what=title, number=number, day=f"{printed.business_date:%d.%m.%Y}"
        ),
        "state": state,
        "basis": "",
        "seller": seller,
        "buyer": buyer,
        "seller_is": _("Продавец"),
        "buyer_is": _("Покупатель"),
        "bank": None,
        "total_is": _("Итого"),
        "total": str(printed.money),
        "vat": _("в том числе НДС {vat}").format(vat=_money(printed.vat, printed))
        if printed.vat
        else _("без НДС"),
        "sums": [],
        "words": "",
        "notes": [],
        "signatures": [],
        "footer": f"{seller['name']} · {printed.number}",
    }


def _person(customer: Any) -> dict[str, str]:
    name = customer.name or customer.email or customer.phone or customer.external_id or "—"
    return {"name": name, "inn": "", "kpp": "", "address": ""}


def _basis(invoice: Invoice) -> str:
    return _("Основание: счёт № {number} от {day}").format(
        number=invoice.number, day=f"{invoice.business_date:%d.%m.%Y}"
    )


def _of_line(line: Any) -> dict[str, Any]:
    names = ("description", "quantity", "period_start", "period_end", "amount", "vat_rate", "vat")
    return {name: getattr(line, name) for name in names}


def _of_json(line: dict[str, Any]) -> dict[str, Any]:
    days = {
        name: date.fromisoformat(line[name]) if line[name] else None
        for name in ("period_start", "period_end")
    }
    rate = None if line["vat_rate"] is None else Decimal(line["vat_rate"])
    return line | days | {"amount": Decimal(line["amount"]), "vat": Decimal(line["vat"]), "vat_rate": rate}


def _line(line: dict[str, Any], currency: str) -> dict[str, Any]:
    period, start, end = "", line["period_start"], line["period_end"]
    if start and end:
        # People count the last day in.
        period = f"{start:%d.%m.%Y} – {end - timedelta(days=1):%d.%m.%Y}"
    return {
        "description": line["description"],
        "period": period,
        "quantity": str(line["quantity"]),
        "vat_rate": _percent(line["vat_rate"]),
        "vat": str(Money(line["vat"], currency)) if line["vat_rate"] else "—",
        "amount": str(Money(line["amount"], currency)),
    }


def _money(amount: Decimal, printed: Printed) -> str:
    return str(Money(amount, printed.currency))


def _percent(rate: Decimal | None) -> str:
    return _("без НДС") if rate is None else f"{rate.normalize():f} %"
