"""An invoice as a PDF: data in JSON, set by typst with the fonts of its own wheel."""

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import typst
from django.utils import translation
from django.utils.translation import gettext as _

from apps.billing.models import Invoice, InvoiceLine
from apps.core import clock
from apps.core.money import Money
from apps.partners.models import LegalEntity

TEMPLATE = Path(__file__).with_name("invoice.typ")


def render(invoice: Invoice) -> bytes:
    """The invoice in Russian, as a PDF of one or more A4 pages."""
    with translation.override("ru"):
        data = json.dumps(_data(invoice), ensure_ascii=False)
    compiler = typst.Compiler(font_paths=_fonts(), ignore_system_fonts=True)
    pdf = compiler.compile(input=TEMPLATE.read_bytes(), format="pdf", sys_inputs={"invoice": data})
    assert isinstance(pdf, bytes)  # only pictures come one a page
    return pdf


@cache
def _fonts() -> Any:
    # Finding fonts costs more than setting a page: once per process. The system's are left out, so that a
    # document looks the same everywhere.
    return typst.Fonts(include_system_fonts=False)


def _data(invoice: Invoice) -> dict[str, Any]:
    seller = LegalEntity.objects.get(pk=invoice.legal_entity_id)
    customer = invoice.customer
    paid = f"Оплачен {clock.local(invoice.paid_at):%d.%m.%Y}" if invoice.paid_at else ""
    return {
        "title": f"Счёт № {invoice.number or 'без номера'} от {invoice.business_date:%d.%m.%Y}",
        "state": str(invoice.get_state_display()),
        "seller": {
            "name": seller.name,
            "inn": seller.inn,
            "kpp": seller.kpp,
            "address": seller.address,
        },
        "customer": customer.name or customer.email or customer.phone or customer.external_id or "—",
        "lines": [_line(line, invoice.currency) for line in invoice.lines.all()],
        "total": str(invoice.money),
        "vat": f"в том числе НДС {Money(invoice.vat, invoice.currency)}" if invoice.vat else "без НДС",
        "paid": paid or f"Оплатить до {invoice.due_date:%d.%m.%Y}",
        "footer": f"{seller.name} · {invoice.number}",
    }


def _line(line: InvoiceLine, currency: str) -> dict[str, Any]:
    period = ""
    if line.period_start and line.period_end:
        period = f"{line.period_start:%d.%m.%Y} – {line.period_end:%d.%m.%Y} (не включая)"
    return {
        "description": line.description,
        "period": period,
        "quantity": str(line.quantity),
        "vat_rate": _percent(line.vat_rate),
        "vat": str(Money(line.vat, currency)) if line.vat_rate else "—",
        "amount": str(Money(line.amount, currency)),
    }


def _percent(rate: Decimal | None) -> str:
    return str(_("без НДС")) if rate is None else f"{rate.normalize():f} %"
