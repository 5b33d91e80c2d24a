"""What proves that what was paid for was delivered: the order, each attempt, what the customer has, and its use."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.billing.models import InvoiceLine, InvoicePayment
from apps.core import clock
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.orders.models import Fulfilment, FulfilmentState, Order, OrderItem, Service
from apps.payments import evidence
from apps.payments.evidence import Fact, Section
from apps.payments.models import Payment
from apps.providers.portal.models import UsageRow


@evidence.source
def of_orders(payment: Payment) -> Iterable[Section]:
    """The order and its delivery, and what the provider told of the use."""
    link = InvoicePayment.objects.filter(payment=payment, failed=False).first()
    if link is None:
        return
    lines = InvoiceLine.objects.filter(invoice=link.invoice_id).exclude(subscription=None)
    subscriptions = set(lines.values_list("subscription_id", flat=True))
    begun = OrderItem.objects.filter(subscription__in=subscriptions).values("order")
    orders = Order.objects.filter(Q(invoice=link.invoice_id) | Q(pk__in=begun)).prefetch_related("items")
    services = list(Service.objects.filter(subscription__in=subscriptions).order_by("pk"))
    made = Fulfilment.objects.filter(service__in=services).select_related("service").order_by("pk")
    yield Section(
        40,
        _("Заказ и выдача"),
        [*map(_ordered, orders.order_by("pk")), *map(_delivered, made)],
        _("Заказа с этим платежом нет."),
    )
    used = _usage(services)
    facts = [_used(one, used[one.pk]) for one in services]
    yield Section(50, _("Пользование услугой"), facts, _("Услуг по этому платежу нет."))


def _ordered(order: Order) -> Fact:
    return Fact(
        order.created_at,
        _("Заказ {number}: {name}").format(number=order.number or "—", name=order.name),
        [
            f"{_('Сумма')}: {Money(order.total, order.currency)}",
            f"{_('Состояние')}: {order.get_state_display()}",
        ],
    )


def _delivered(one: Fulfilment) -> Fact:
    details = [f"{_('Состояние')}: {FulfilmentState(one.state).label}"]
    if one.attempts > 1:
        details.append(_("Попыток: {count}").format(count=one.attempts))
    if one.action == Fulfilment.Action.PROVISION and one.state == FulfilmentState.DONE:
        details += _given(one.service)
    return Fact(one.done_at or one.created_at, f"{one.get_action_display()}: {one.service.name}", details)


def _given(service: Service) -> list[str]:
    found = []
    if service.key:
        found.append(_("Выдан ключ {key}").format(key=evidence.masked(service.key)))
    if service.url:
        found.append(_("Выдана ссылка на сайте {host}").format(host=service.url.split("/")[2]))
    return found


def _usage(services: Sequence[Service]) -> dict[UUID, list[str]]:
    """How much of each was used, month by month, by its provider's word; what is doubted here proves nothing."""
    rows = UsageRow.objects.filter(
        service_id__in=[one.pk for one in services], partner_id=current_partner().pk, quantity__gt=0, doubt=""
    )
    told = _("Потребление за {month}: {quantity} — по данным поставщика от {day}")
    found: dict[UUID, list[str]] = defaultdict(list)
    for row in rows.select_related("file").order_by("month", "unit"):
        line = told.format(
            month=f"{row.month:%m.%Y}",
            quantity=f"{_plain(row.quantity)} {row.unit}".strip(),
            day=f"{clock.local(row.file.loaded_at):%d.%m.%Y}",
        )
        found[row.service_id].append(line)
    return found


def _plain(quantity: Decimal) -> str:
    return f"{quantity.normalize():f}".replace(".", ",")


def _used(service: Service, usage: Sequence[str]) -> Fact:
    details = [f"{_('Состояние')}: {service.get_state_display()}"]
    if service.activated_at:
        details.append(_("Подключена, доступ открыт"))
    if service.active_until:
        details.append(_("Оплачена до {day}").format(day=f"{service.active_until:%d.%m.%Y}"))
    if service.off_at:
        details.append(_("Отключена {day}").format(day=f"{service.off_at:%d.%m.%Y}"))
    details += usage or [_("О входах и загрузках поставщик платформе не сообщает.")]
    return Fact(service.activated_at, service.name, details)
