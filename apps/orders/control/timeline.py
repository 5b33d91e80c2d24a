"""An order's way in one list: placed, paid, each attempt with request and answer, letters, receipts, deeds of staff."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from apps.billing import channel_names
from apps.billing.models import Invoice, InvoicePayment
from apps.connectors.models import Connection
from apps.core import clock, ids, links
from apps.core.models import Due, WorkItem
from apps.core.money import Money
from apps.core.tenancy import current_partner_id
from apps.journal import reading
from apps.journal.models import Entry, Exchange
from apps.notifications.models import Message
from apps.orders.fulfilment import FULFIL, KIND, PATIENCE
from apps.orders.models import (
    OPEN_STATES,
    Fulfilment,
    FulfilmentAction,
    FulfilmentState,
    History,
    Order,
    OrderState,
    Service,
)
from apps.payments.models import Payment, Refund
from apps.payments.receipt_models import Receipt

MOST = 200
"""Exchanges, and letters, of one order that are shown: the latest."""
GOOD, BAD, WARN, PLAIN = "good", "bad", "warn", "plain"
_F = FulfilmentState
TONES = {
    _F.DONE.value: GOOD,
    _F.NEEDS_STAFF.value: BAD,
    _F.RETRY.value: WARN,
    _F.UNKNOWN.value: WARN,
    OrderState.FAILED.value: BAD,
    OrderState.CANCELLED.value: BAD,
    OrderState.REJECTED.value: BAD,
    OrderState.PARTIAL.value: WARN,
    OrderState.COMPLETED.value: GOOD,
    "active": GOOD,
    "suspended": WARN,
    "succeeded": GOOD,
    "failed": BAD,
    "registered": GOOD,
    "delivered": GOOD,
    "sent": GOOD,
}


@dataclass(slots=True)
class Fact:
    """Something that happened. `wall` orders; `at` is shown, by the partner's clock."""

    wall: datetime
    at: datetime | None
    icon: str
    title: str
    tone: str = PLAIN
    actor: str = ""
    details: list[str] = field(default_factory=list)
    url: str = ""
    exchange: SafeString | str = ""


@dataclass(frozen=True, slots=True)
class Next:
    """What happens next with one thing that is not done."""

    fulfilment: Fulfilment
    text: str
    at: datetime | None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """All of it."""

    order: Order | None
    invoice: Invoice | None
    fulfilments: list[Fulfilment]
    facts: list[Fact]
    next: list[Next]
    names: dict[int, str]


def of(order: Order | None, invoice: Invoice | None) -> Way:
    """Of an order, or of an invoice of a renewal, in a fixed number of queries."""
    invoice = invoice or (order.invoice if order else None)
    fulfilments = _fulfilments(order, invoice)
    links_ = list(InvoicePayment.objects.filter(invoice=invoice).select_related("payment")) if invoice else []
    payments = [one.payment for one in links_]
    refunds = list(Refund.objects.filter(payment__in=payments))
    receipts = list(Receipt.objects.filter(payment__in=payments))
    keys = _connections(fulfilments, payments, receipts)
    names = {one.pk: one.name for one in Connection.objects.filter(pk__in=keys)}
    channels = channel_names.known()
    facts = [
        *_placed(order, channels),
        *_changes(order, fulfilments),
        *(fact for one in payments for fact in _paid(one, names)),
        *(fact for one in refunds for fact in _refunded(one)),
        *(fact for one in receipts for fact in _receipted(one)),
        *_exchanges(fulfilments, payments, names),
        *_letters(order, invoice, fulfilments),
        *_deeds(order, fulfilments),
    ]
    facts.sort(key=lambda one: one.wall)
    for fact in facts:
        fact.actor = channel_names.of_actor(fact.actor, channels)
    return Way(order, invoice, fulfilments, _shown(facts), _what_next(fulfilments), names)


def _fulfilments(order: Order | None, invoice: Invoice | None) -> list[Fulfilment]:
    rows = Fulfilment.objects.select_related("service").order_by("pk")
    found = rows.filter(order=order) if order else rows.filter(invoice=invoice)
    services = {one.service_id for one in found}
    # What takes back what was given, or lets it rest, belongs to the same way.
    later = (
        FulfilmentAction.CANCEL,
        FulfilmentAction.SUSPEND,
        FulfilmentAction.RESUME,
        FulfilmentAction.REPLACE,
    )
    cancelled = rows.filter(service__in=services, action__in=later) if order else []
    return sorted({one.pk: one for one in [*found, *cancelled]}.values(), key=lambda one: one.pk)


def _connections(
    fulfilments: Iterable[Fulfilment], payments: Iterable[Payment], receipts: Iterable[Receipt]
) -> set[int]:
    rows: list[Any] = [*fulfilments, *payments, *receipts]
    return {one.connection_id for one in rows if one.connection_id}


def _placed(order: Order | None, channels: dict[str, str]) -> Iterator[Fact]:
    if order is None:
        return
    details = [f"{one.name} · {one.money}" for one in order.items.all()]
    if order.channel_code:
        name = channels.get(order.channel_code, order.channel_code)
        details.append(gettext("Канал: {name}").format(name=name))
    yield Fact(
        ids.made_at(order.pk),
        order.created_at,
        "shopping_cart",
        gettext("Заказ оформлен"),
        actor=order.actor,
        details=details,
    )


def _changes(order: Order | None, fulfilments: list[Fulfilment]) -> Iterator[Fact]:
    """Lines of the history: who changed what, and why."""
    named: dict[UUID, tuple[str, dict[Any, Any], str]] = {}
    if order is not None:
        named[order.pk] = (gettext("Заказ"), dict(OrderState.choices), "flag")
        items = list(order.items.all())
        if len(items) > 1:
            named |= {one.pk: (one.name, dict(OrderState.choices), "flag") for one in items}
    several = len({one.service_id for one in fulfilments}) > 1
    for one in fulfilments:
        name = f"{one.get_action_display()} · {one.service.name}" if several else one.get_action_display()
        named[one.pk] = (name, dict(FulfilmentState.choices), "conveyor_belt")
        named.setdefault(one.service_id, (gettext("Услуга"), dict(Service.State.choices), "package_2"))
    for line in History.objects.filter(object_id__in=list(named)).order_by("pk"):
        name, words, icon = named[line.object_id]
        if (
            line.became in {_F.IN_PROGRESS, _F.QUEUED}
            and icon == "conveyor_belt"
            and not line.actor
            and line.was
        ):
            # The request itself follows.
            continue
        yield Fact(
            ids.made_at(line.pk),
            line.at,
            icon,
            f"{name}: {words.get(line.became, line.became)}",
            TONES.get(line.became, PLAIN),
            line.actor,
            # Written down in Russian; what is a text of ours is shown in the reader's language.
            [gettext(line.reason)] if line.reason else [],
        )


def _paid(one: Payment, names: dict[int, str]) -> Iterator[Fact]:
    made, url = ids.made_at(one.pk), links.to("payments.Payment", one.pk)
    through = [names.get(one.connection_id, "")]
    yield Fact(
        made,
        one.created_at,
        "credit_card",
        gettext("Платёж начат: {sum}").format(sum=one.money),
        details=through,
        url=url,
    )
    if one.settled_at:
        reason = [one.decline_reason] if one.decline_reason else []
        title = f"{gettext('Платёж')}: {one.get_state_display()}, {one.money}"
        wall = made + (one.settled_at - one.created_at)
        yield Fact(
            wall, one.settled_at, "payments", title, TONES.get(one.state, PLAIN), details=reason, url=url
        )


def _refunded(one: Refund) -> Iterator[Fact]:
    made, url, money = (
        ids.made_at(one.pk),
        links.to("payments.Refund", one.pk),
        Money(one.amount, one.currency),
    )
    yield Fact(
        made,
        one.created_at,
        "undo",
        gettext("Возврат начат: {sum}").format(sum=money),
        actor=one.actor,
        details=[one.reason],
        url=url,
    )
    if one.settled_at:
        title = f"{gettext('Возврат')}: {one.get_state_display()}, {money}"
        yield Fact(
            made + (one.settled_at - one.created_at),
            one.settled_at,
            "undo",
            title,
            TONES.get(one.state, PLAIN),
            url=url,
        )


def _receipted(one: Receipt) -> Iterator[Fact]:
    at = one.settled_at or one.created_at
    yield Fact(
        ids.made_at(one.pk) + (at - one.created_at),
        at,
        "receipt",
        gettext("Чек: {what}, {state}").format(what=str(one), state=one.get_state_display().lower()),
        TONES.get(one.state, PLAIN),
        details=[one.reason] if one.reason else [],
        url=links.to("payments.Receipt", one.pk),
    )


def _exchanges(
    fulfilments: list[Fulfilment], payments: list[Payment], names: dict[int, str]
) -> Iterator[Fact]:
    """Requests to providers and gateways with their answers, as the journal keeps them: masked."""
    about = [one.pk for one in [*fulfilments, *payments]]
    rows = list(Exchange.objects.filter(about__in=about).order_by("-at", "-pk")[:MOST])
    providers = {one.pk for one in fulfilments}
    tries: dict[UUID | None, int] = {}
    latest = next((row.pk for row in rows if row.about in providers), None)
    for row in reversed(rows):
        tries[row.about] = number = tries.get(row.about, 0) + 1
        name = names.get(row.connection_id, gettext("подключение"))
        said = reading.told(row)
        title = (
            gettext("{name}: запрос {number}").format(name=name, number=number)
            if row.about in providers
            else gettext("{name}: запрос шлюзу").format(name=name)
        )
        yield Fact(
            row.at,
            None,
            "swap_horiz",
            title,
            GOOD if said.is_well else BAD,
            exchange=reading.page([said], opened=row.pk == latest),
        )


def _letters(order: Order | None, invoice: Invoice | None, fulfilments: list[Fulfilment]) -> Iterator[Fact]:
    """Letters and SMS about any of it: their keys name what they are about."""
    customer = order.customer_id if order else invoice.customer_id if invoice else None
    if customer is None:
        return
    about = {str(one.pk) for one in fulfilments} | ({str(invoice.pk)} if invoice else set())
    about |= {str(one.service.request_id) for one in fulfilments}
    if order is not None:
        about.add(str(order.pk))
        about |= {str(one.subscription_id) for one in order.items.all() if one.subscription_id}
    rows = Message.objects.filter(customer_ref=customer).defer("text", "html").order_by("-pk")[:MOST]
    for one in rows:
        if not any(key in one.key for key in about):
            continue
        yield Fact(
            ids.made_at(one.pk),
            one.created_at,
            "sms" if one.channel == "sms" else "mail",
            f"{one}: {one.get_state_display().lower()}",
            BAD if one.state == "failed" else WARN if one.state == "unknown" else TONES.get(one.state, PLAIN),
            details=[one.error] if one.error else [],
            url=links.to("notifications.Message", one.pk),
        )


def _deeds(order: Order | None, fulfilments: list[Fulfilment]) -> Iterator[Fact]:
    """What staff did with it by buttons that change no state."""
    about = [str(one.pk) for one in fulfilments] + ([str(order.pk)] if order else [])
    about += {str(one.service_id) for one in fulfilments}
    for one in Entry.objects.filter(object_id__in=about).order_by("pk"):
        said = [str(one.data[name]) for name in ("reason", "comment", "text") if one.data.get(name)]
        yield Fact(ids.made_at(one.pk), one.at, "person", str(one), actor=one.actor, details=said)


def _shown(facts: list[Fact]) -> list[Fact]:
    """What goes by the wall clock is shown by the partner's, which in a sandbox may be months ahead."""
    shift = timedelta(0)
    for one in facts:
        if one.at is None:
            one.at = one.wall + shift
        else:
            shift = one.at - one.wall
        one.at = clock.local(one.at)
    return facts


def _what_next(fulfilments: list[Fulfilment]) -> list[Next]:
    waiting = [one for one in fulfilments if one.state in OPEN_STATES]
    keys, mine = [one.pk for one in waiting], current_partner_id()
    planned = dict(
        Due.objects.filter(partner_id=mine, kind=FULFIL, object_id__in=keys).values_list(
            "object_id", "due_at"
        )
    )
    items = WorkItem.objects.filter(partner_id=mine, kind=KIND, object_id__in=keys).select_related("owner")
    owners = {one.object_id: one.owner.get_username() if one.owner else "" for one in items}
    return [Next(one, _next(one, owners), planned.get(one.pk), owners.get(one.pk, "")) for one in waiting]


def _next(one: Fulfilment, owners: dict[UUID, str]) -> str:
    if one.state == _F.NEEDS_STAFF:
        who = owners.get(one.pk)
        return (
            gettext("Занимается {who}").format(who=who) if who else gettext("Ждёт сотрудника: никто не взял")
        )
    if one.state == _F.UNKNOWN:
        return gettext("Спросим поставщика, что стало с запросом: вслепую не повторяем")
    if one.state == _F.RETRY:
        left = max(PATIENCE - one.attempts, 0)
        more = ngettext("осталась %d попытка", "осталось %d попыток", left) % left
        return gettext("Повторим запрос, {more}; потом позовём сотрудника").format(more=more)
    if one.state == _F.HELD:
        return gettext("Отложено сотрудником: ждёт, пока продолжат")
    if one.state == _F.INFORMATION_REQUIRED:
        return gettext("Ждём данных от клиента или сотрудника")
    if one.state == _F.COMPENSATING:
        return gettext("Сделанное отменяется в обратном порядке, потом вернутся деньги")
    if one.state == _F.IN_PROGRESS:
        return gettext("Поставщик принял запрос: спросим о готовности")
    return gettext("Ждёт своей очереди у поставщика")
