"""What proves that a payment was rightly taken, collected by itself, and the PDF of it that goes to the bank.

The apps above know what was agreed to, announced and delivered, this one does not know them: `source` is how each
gives its part, in the way of `receipt_lines.composer`.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import typst
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from apps import journal
from apps.core import clock
from apps.core.ids import uuid7
from apps.core.tenancy import current_partner
from apps.payments.dispute_models import Dispute, DisputeFile
from apps.payments.models import Payment, Purpose, RefundState
from apps.payments.receipt_models import Receipt, ReceiptState

TEMPLATE = Path(__file__).with_name("evidence.typ")
KIND = "payments.Dispute"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known, and since when."""

    at: datetime | None
    what: str
    details: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Section:
    """Facts of one kind; `missing` is said where there are none."""

    order: int
    title: str
    facts: list[Fact]
    missing: str = ""


Source = Callable[[Payment], Iterable[Section]]
_sources: list[Source] = []


def source(function: Source) -> Source:
    """Registers a function that tells what its app knows of a payment; secrets are masked by it."""
    if function not in _sources:
        _sources.append(function)
    return function


def collect(payment: Payment) -> list[Section]:
    """All that is known of a payment, in the order in which it is to be read."""
    found = [section for tell in _sources for section in tell(payment)]
    return sorted(found, key=lambda one: one.order)


@source
def of_payments(payment: Payment) -> Iterable[Section]:
    """The payment itself, what went back of it, its receipts."""
    yield Section(10, _("Платёж"), _paid(payment))
    yield Section(60, _("Возвраты клиенту"), _refunds(payment), _("Возвратов по этому платежу не было."))
    yield Section(70, _("Кассовые чеки"), _receipts(payment), _("Чеки по этому платежу делает не платформа."))


def _paid(payment: Payment) -> list[Fact]:
    method = payment.method.title if payment.method else ""
    if payment.is_charge:
        how = _("Списано по сохранённому способу с согласия клиента, без его участия")
    else:
        how = _("Подтверждено клиентом на странице шлюза; проверку 3-D Secure проводит банк на этой странице")
    facts = [
        Fact(
            payment.settled_at,
            _("Получено %s") % payment.money,
            [
                f"{_('За что')}: {payment.description}",
                f"{_('Назначение')}: {Purpose(payment.purpose).label}",
                f"{_('Способ')}: {method or _('не сохранён')}",
                f"{_('Номер у шлюза')}: {payment.gateway_id}",
                how,
            ],
        )
    ]
    if payment.method and payment.method.refused_at:
        refused = payment.method
        facts.append(Fact(refused.refused_at, _("Способ отозван"), [str(refused.get_refused_how_display())]))
    elif payment.method:
        facts.append(Fact(payment.method.created_at, _("Способ сохранён"), [_("Отзыва не было")]))
    return facts


def _refunds(payment: Payment) -> list[Fact]:
    return [
        Fact(
            one.settled_at or one.created_at,
            f"{one.money}: {RefundState(one.state).label}",
            [one.reason, str(one.get_route_display())],
        )
        for one in payment.refunds.order_by("pk")
    ]


def _receipts(payment: Payment) -> list[Fact]:
    made = Receipt.objects.filter(payment=payment, state=ReceiptState.REGISTERED).order_by("pk")
    return [
        Fact(
            one.settled_at,
            f"{one.get_cause_display()}, {one.money}",
            [_("ФН %(fn)s, ФД %(document)s, ФПД %(attribute)s") % one.fiscal] if one.fiscal else [],
        )
        for one in made
    ]


# -- the file --------------------------------------------------------------------------------------------


def make(dispute_id: UUID, *, actor: str) -> DisputeFile:
    """Collects the evidence of a dispute as it stands now, and keeps the PDF with the case, under its hash."""
    with transaction.atomic():
        dispute = Dispute.objects.select_related("payment__customer", "payment__method").get(pk=dispute_id)
        content = render(dispute)
        made = DisputeFile.objects.create(
            id=uuid7(),
            dispute=dispute,
            name=f"evidence-{dispute.gateway_id or str(dispute.pk)[:8]}-{clock.now():%Y%m%d-%H%M}.pdf"[:120],
            content=content,
            sha256=hashlib.sha256(content).hexdigest(),
            made_at=clock.now(),
            made_by=actor[:150],
        )
        data = {"file": str(made.pk), "sha256": made.sha256}
        journal.record("dispute.evidence", KIND, dispute.pk, actor=actor, data=data)
    return made


def render(dispute: Dispute) -> bytes:
    """The evidence in Russian, as a PDF of numbered A4 pages."""
    with translation.override("ru"):
        data = json.dumps(data_of(dispute), ensure_ascii=False)
    compiler = typst.Compiler(font_paths=_fonts(), ignore_system_fonts=True)
    pdf = compiler.compile(input=TEMPLATE.read_bytes(), format="pdf", sys_inputs={"document": data})
    if not isinstance(pdf, bytes):
        raise TypeError("Only pictures come one a page")
    return pdf


@cache
def _fonts() -> Any:
    return typst.Fonts(include_system_fonts=False)


def data_of(dispute: Dispute) -> dict[str, Any]:
    """All that the template shows, in words."""
    payment = dispute.payment
    seller = payment.connection.legal_entity
    customer = payment.customer
    return {
        "title": _("Доказательства по спору")
        if dispute.kind == "chargeback"
        else _("Материалы по претензии"),
        "summary": [
            [_("Продавец"), f"{seller.name}, {_('ИНН')} {seller.inn}" if seller else "—"],
            [_("Магазин"), str(current_partner())],
            [_("Спор"), f"{dispute.get_kind_display()}{_number(dispute)}"],
            [_("Сумма спора"), str(dispute.money)],
            [_("Причина"), " · ".join(part for part in (dispute.reason_code, dispute.reason) if part)],
            [_("Открыт"), _moment(dispute.opened_at)],
            [_("Ответить до"), _moment(dispute.respond_by)],
            [_("Платёж"), f"{payment.money}, {_moment(payment.settled_at)}, {payment.gateway_id}"],
            [
                _("Клиент"),
                ", ".join(part for part in (customer.name, customer.email, customer.phone) if part),
            ],
        ],
        "sections": [_section(one) for one in collect(payment)],
        "footer": _("Собрано {at} · платёж {payment}").format(at=_moment(clock.now()), payment=payment.pk),
    }


def _number(dispute: Dispute) -> str:
    return f" № {dispute.gateway_id}" if dispute.gateway_id else ""


def _section(one: Section) -> dict[str, Any]:
    return {
        "title": one.title,
        "missing": one.missing or _("Сведений нет."),
        "facts": [
            {"at": _moment(fact.at), "what": fact.what, "details": [text for text in fact.details if text]}
            for fact in one.facts
        ],
    }


def _moment(at: datetime | None) -> str:
    return f"{clock.local(at):%d.%m.%Y %H:%M}" if at else ""


def masked(secret: str) -> str:
    """The last four signs of a key or number: enough to know it again, of no use to anybody."""
    return f"•••• {secret[-4:]}" if len(secret) > 8 else "••••"
