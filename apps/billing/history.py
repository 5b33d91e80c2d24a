"""One story of a subscription that a support agent can read aloud: what was agreed, billed, charged, told and done."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.billing import channel_names, facts, periods, subscriptions
from apps.billing.arrangements import ChangeState, SubscriptionChange
from apps.billing.models import (
    CreditNote,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceState,
    PhaseKind,
    Subscription,
    SubscriptionPhase,
)
from apps.billing.promotion_models import CancelReason
from apps.catalog.periods import in_words
from apps.core.money import Money
from apps.journal.models import Entry
from apps.notifications.models import Message
from apps.payments.models import Refund, RefundState

ACTIONS = {
    "subscription.cancelled": _("Подписка отменена"),
    "subscription.resumed": _("Отмена снята: подписка продлится как обычно"),
    "subscription.changed": _("Условия изменены"),
    "subscription.change-asked": _("Запрошена смена условий: вступит в силу после оплаты"),
    "subscription.change-unpaid": _("Смена условий не оплачена: всё осталось по-прежнему"),
    "subscription.change-undone": _("Запланированная смена условий отменена"),
    "subscription.paused": _("Подписка поставлена на паузу"),
    "subscription.unpaused": _("Пауза окончена"),
    "subscription.trial-over": _("Пробный период окончен, способ оплаты не выбран: ничего не списано"),
    "subscription.method": _("Привязана карта"),
    "subscription.promo": _("Применён промокод"),
    "subscription.retained": _("Клиент передумал уходить: принял предложение"),
    "subscription.transferred": _("Подписка передана другому клиенту"),
    "subscription.extended": _("Подарены дни"),
    "subscription.term": _("Назначен последний день"),
    "subscription.method_refused": _("Клиент отказался от списаний с этого способа оплаты"),
    "price-change.planned": _("Клиент извещён об изменении цены"),
    "price-consent.given": _("Клиент согласился с новой ценой"),
    "price-consent.refused": _("Клиент не согласился с новой ценой"),
    "seat.assigned": _("Место назначено"),
    "seat.released": _("Место освобождено"),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened: when, what in one sentence, its details, how much, and where it stands."""

    at: datetime
    kind: str
    title: str
    details: list[str] = field(default_factory=list)
    amount: Money | None = None
    object_kind: str = ""
    object_id: UUID | None = None
    actor: str = ""


def of(subscription: Subscription) -> list[Moment]:
    """All of it, the latest first. The documents of a subscription that was transferred are all here."""
    invoices = list(
        Invoice.objects.filter(Q(subscription=subscription) | Q(lines__subscription=subscription))
        .exclude(state=InvoiceState.DRAFT)
        .distinct()
        .prefetch_related("lines__phase", "lines__subscription")
    )
    found = [
        *_terms(subscription),
        *_invoices(invoices),
        *_payments(subscription, invoices),
        *_credits(invoices),
        *_messages(subscription, invoices),
        *_deeds(subscription),
    ]
    channels = channel_names.known()
    found = [replace(one, actor=channel_names.of_actor(one.actor, channels)) for one in found]
    return sorted(found, key=lambda moment: moment.at, reverse=True)


def why(line: InvoiceLine) -> str:
    """Why a line costs what it costs: «Облако: с 27.11.2026 по 06.12.2026, 10 из 30 дней по 149 ₽ за месяц»."""
    currency = line.invoice.currency
    words = [line.description]
    if line.period_start and line.period_end:
        words.append(
            str(_("с {start} по {end}")).format(start=_day(line.period_start), end=_last(line.period_end))
        )
    if line.phase is not None:
        words.append(_price_of(line, line.phase, currency))
    if line.discount:
        words.append(str(_("скидка {sum}")).format(sum=Money(line.discount, currency)))
    if line.credited:
        words.append(str(_("потом зачтено или возвращено {sum}")).format(sum=Money(line.credited, currency)))
    return f"{', '.join(words)}: {Money(line.amount, currency)}"


def _price_of(line: InvoiceLine, phase: SubscriptionPhase, currency: str) -> str:
    """At which price, and for how many of how many days where it is not a whole period."""
    price = str(Money(phase.price, currency))
    if phase.quantity > 1:
        price = f"{phase.quantity} × {price}"
    text = f"{price} / {in_words(phase.period_count, phase.period_unit)}"
    if line.period_date is None or line.period_start is None or line.period_end is None:
        return text
    cycle = facts.cycle_of(phase)
    whole = cycle.bill_date(cycle.number_on(line.period_date) + 1) - line.period_date
    days = line.period_end - line.period_start
    if days == whole:
        return text
    return str(_("{days} из {whole} дней по {price}")).format(days=days.days, whole=whole.days, price=text)


def _terms(subscription: Subscription) -> Iterator[Moment]:
    for phase in subscription.phases.order_by("created_at", "id"):
        price = Money(phase.price, subscription.currency)
        words = f"{phase.quantity} × {price} / {in_words(phase.period_count, phase.period_unit)}"
        text = _("без оплаты") if phase.is_free else words
        if phase.dropped_at:
            text = _("не вступили в силу")
        yield Moment(
            at=phase.created_at,
            kind="terms",
            title=str(_("Условия с {day}: {kind}")).format(
                day=_day(phase.start_date), kind=PhaseKind(phase.kind).label
            ),
            details=[f"{phase.name}: {text}", *([phase.reason] if phase.reason else [])],
            amount=None if phase.is_free else Money(phase.price * phase.quantity, subscription.currency),
            object_kind="billing.SubscriptionPhase",
            object_id=phase.pk,
            actor=phase.actor,
        )
    for change in SubscriptionChange.objects.filter(subscription=subscription, state=ChangeState.DROPPED):
        yield Moment(
            at=change.closed_at or change.created_at,
            kind="terms",
            title=str(_("Смена условий не состоялась")),
            object_kind="billing.SubscriptionChange",
            object_id=change.pk,
        )


def _invoices(invoices: list[Invoice]) -> Iterator[Moment]:
    for invoice in invoices:
        details = [why(line) for line in invoice.lines.all()]
        if invoice.credit_applied:
            applied = Money(invoice.credit_applied, invoice.currency)
            details.append(str(_("Зачтено с баланса: {sum}")).format(sum=applied))
        details.append(str(_("В том числе НДС {sum}")).format(sum=Money(invoice.vat, invoice.currency)))
        yield Moment(
            at=invoice.issued_at or periods.midnight(invoice.business_date),
            kind="invoice",
            title=f"{_('Счёт')} {invoice.number}: {invoice.get_purpose_display()}, {invoice.get_state_display()}",
            details=details,
            amount=invoice.money,
            object_kind="billing.Invoice",
            object_id=invoice.pk,
        )


def _payments(subscription: Subscription, invoices: list[Invoice]) -> Iterator[Moment]:
    mine = Q(invoice__in=[one.pk for one in invoices]) | Q(invoice__subscription=subscription)
    links = InvoicePayment.objects.filter(mine).select_related("payment__method", "invoice")
    for link in links.prefetch_related("invoice__lines__phase", "payment__refunds"):
        payment = link.payment
        yield Moment(
            at=payment.created_at,
            kind="payment",
            title=f"{_('Платёж')}: {payment.get_state_display()}"
            + (f", {payment.method}" if payment.method else ""),
            # What the customer asks: what was it taken for.
            details=[str(_("За что: {what}")).format(what=why(line)) for line in link.invoice.lines.all()],
            amount=payment.money,
            object_kind="payments.Payment",
            object_id=payment.pk,
        )
        yield from map(_refund, payment.refunds.all())


def _refund(refund: Refund) -> Moment:
    return Moment(
        at=refund.created_at,
        kind="refund",
        title=f"{_('Возврат')}: {RefundState(refund.state).label}",
        details=[refund.reason],
        amount=Money(refund.amount, refund.currency),
        object_kind="payments.Refund",
        object_id=refund.pk,
        actor=refund.actor,
    )


def _credits(invoices: list[Invoice]) -> Iterator[Moment]:
    notes = CreditNote.objects.filter(invoice__in=[one.pk for one in invoices])
    for note in notes.select_related("invoice").prefetch_related("lines__invoice_line"):
        where = [
            str(text).format(sum=Money(part, note.currency))
            for part, text in (
                (note.to_debt, _("{sum} в счёт долга")),
                (note.to_balance, _("{sum} на баланс")),
                (note.to_refund, _("{sum} обратно на карту")),
            )
            if part
        ]
        yield Moment(
            at=note.issued_at,
            kind="credit",
            title=f"{_('Корректировка')} {note.number}: {note.get_reason_display()}",
            details=[
                *(
                    _credited_days(line.invoice_line.description, line.period_start, line.period_end)
                    for line in note.lines.all()
                ),
                *where,
            ],
            amount=note.money,
            object_kind="billing.CreditNote",
            object_id=note.pk,
            actor=note.actor,
        )


def _credited_days(what: str, start: date | None, end: date | None) -> str:
    if start is None or end is None:
        return what
    days = str(_("не использовано: с {start} по {end}")).format(start=_day(start), end=_last(end))
    return f"{what}, {days}"


def _messages(subscription: Subscription, invoices: list[Invoice]) -> Iterator[Moment]:
    """What the customer was told of it: a message's key names the subscription or the invoice."""
    keys = {str(subscription.pk), *(str(one.pk) for one in invoices)}
    for message in Message.objects.filter(customer_ref=subscription.customer_id).order_by("id"):
        if keys.intersection(message.key.split(":")):
            yield Moment(
                at=message.created_at,
                kind="message",
                title=f"{_('Сообщение клиенту')}: {message.subject or message.type}",
                details=[f"{message.get_channel_display()}, {message.get_state_display()}"],
                object_kind="notifications.Message",
                object_id=message.pk,
            )


def _deeds(subscription: Subscription) -> Iterator[Moment]:
    for entry in Entry.objects.filter(object_id=str(subscription.pk), object_kind=subscriptions.KIND):
        yield Moment(
            at=entry.at,
            kind="deed",
            title=str(ACTIONS.get(entry.action, entry.action)),
            details=_details(entry.data),
            object_kind="journal.Entry",
            object_id=entry.pk,
            actor=entry.actor,
        )


DETAILS = {
    "reason": _("Причина"),
    "days": _("Дней"),
    "until": _("До"),
    "from": _("С"),
    "quantity": _("Количество"),
    "due": _("К оплате"),
    "position": _("Место"),
    "end_date": _("Заканчивается"),
    "periods": _("Периодов"),
}


def _details(data: Any) -> list[str]:
    known = data if isinstance(data, dict) else {}
    return [
        f"{DETAILS[key]}: {_said(key, value)}" for key, value in known.items() if key in DETAILS and value
    ]


def _said(key: str, value: Any) -> str:
    """What the journal keeps as a machine writes it: days and sums as people do."""
    text = str(value)
    if key == "reason" and text in CancelReason.values:
        return str(CancelReason(text).label)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return _day(date.fromisoformat(text))
    if key == "due" and re.fullmatch(r"\d+(\.\d{1,2})?", text):
        return str(Money(Decimal(text)))
    return text


def _day(day: date) -> str:
    return f"{day:%d.%m.%Y}"


def _last(end: date) -> str:
    """The last day that is included: people do not count half-open."""
    return _day(end - timedelta(days=1))
