"""What proves that a charge was agreed and announced: what was billed, what was told, answers to new prices."""

from collections.abc import Iterable
from uuid import UUID

from django.utils.translation import gettext as _

from apps.billing.models import Invoice, InvoicePayment, PriceConsent
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.notifications.models import Message, State
from apps.payments import evidence
from apps.payments.evidence import Fact, Section
from apps.payments.models import Payment


@evidence.source
def of_billing(payment: Payment) -> Iterable[Section]:
    """What was billed, and what the customer was told of it."""
    link = InvoicePayment.objects.select_related("invoice").filter(payment=payment, failed=False).first()
    if link is None:
        return
    invoice = link.invoice
    lines = list(invoice.lines.all())
    subscriptions = {line.subscription_id for line in lines if line.subscription_id}
    yield Section(15, _("За что списано"), _billed(invoice))
    yield Section(
        21,
        _("Согласие с новой ценой"),
        _prices(subscriptions),
        _("Цена не менялась, нового согласия не требовалось."),
    )
    yield Section(
        30,
        _("Уведомления клиенту"),
        _messages(payment, invoice, subscriptions),
        _("Сообщений клиенту об этом списании нет."),
    )


def _billed(invoice: Invoice) -> list[Fact]:
    lines = [
        f"{line.description} × {line.quantity} — {Money(line.amount, invoice.currency)}"
        for line in invoice.lines.all()
    ]
    return [Fact(invoice.issued_at, _("Счёт № {number}").format(number=invoice.number or "—"), lines)]


def _prices(subscriptions: set[UUID]) -> list[Fact]:
    consents = PriceConsent.objects.filter(subscription__in=subscriptions).order_by("pk")
    told = _("{old} → {new} со списания {day}")
    return [
        Fact(
            one.answered_at or one.created_at,
            str(one.get_state_display()),
            [
                told.format(old=one.old_price, new=one.price, day=f"{one.effective_date:%d.%m.%Y}"),
                _("Извещён {day}").format(day=f"{one.notice_date:%d.%m.%Y}"),
                " · ".join(part for part in (one.ip, one.user_agent) if part),
            ],
        )
        for one in consents
    ]


def _messages(payment: Payment, invoice: Invoice, subscriptions: set[UUID]) -> list[Fact]:
    """A message's key names what it is about."""
    keys = {str(payment.pk), str(invoice.pk), *map(str, subscriptions)}
    sent = Message.objects.filter(customer_ref=payment.customer_id).order_by("pk")
    return [_message(one) for one in sent if keys.intersection(one.key.split(":"))]


def _message(one: Message) -> Fact:
    details = [
        f"{one.get_channel_display()}: {_contact(one.to)}",
        f"{_('Состояние')}: {State(one.state).label}"
        + (f", {one.settled_at:%d.%m.%Y %H:%M}" if one.settled_at else ""),
    ]
    # A sandbox's messages leave by the wall clock, and its charges come by its own.
    at = one.created_at if current_partner().is_sandbox else one.sent_at or one.created_at
    return Fact(at, one.subject or str(one), details)


def _contact(to: str) -> str:
    """So much of an address as tells it from others."""
    if "@" in to:
        name, _at, host = to.partition("@")
        return f"{name[:2]}•••@{host}"
    return f"{to[:5]}•••{to[-2:]}" if to else "—"
