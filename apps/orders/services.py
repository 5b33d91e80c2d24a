"""Services follow money: made when an order is paid, extended by a renewal, off when the subscription is over."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps.billing import subscriptions, together
from apps.billing.models import LIVE, RUNNING, Invoice, InvoicePurpose, Subscription
from apps.catalog.models import TariffVersion
from apps.core import bulk, clock, events, gather
from apps.core.ids import uuid7
from apps.orders import entitlements, fulfilment, history, moves, states
from apps.orders.models import (
    ENDED_STATES,
    FulfilmentAction,
    ItemAction,
    Order,
    OrderItem,
    OrderState,
    Service,
)
from apps.orders.placing import place_order
from apps.orders.task_models import TaskNote
from apps.payments import payments

__all__ = ["customer_erased", "expire_order", "invoice_paid", "place_order", "subscription_ended"]


_GOING_ON = {OrderState.IN_PROGRESS, OrderState.HELD, OrderState.ASSESSING}


def invoice_paid(invoice_id: UUID) -> None:
    """Plans what a paid invoice entitles to. Safe to repeat: the database holds one fulfilment of each."""
    invoices_paid([invoice_id])


def invoices_paid(invoice_ids: Iterable[UUID]) -> None:
    """`invoice_paid` of many."""
    wanted = bulk.these("uuid", invoice_ids)
    rows = Invoice.objects.filter(pk__in=wanted, subscription__isnull=False).prefetch_related("lines")
    paid = [(one, one.subscription_id) for one in rows.order_by("pk") if one.subscription_id]
    # Whoever ends the subscription locks it too: what is planned here is seen there, or not planned at all.
    held = subscriptions.locked_many(key for _invoice, key in paid)
    sales = {one.pk: held[key] for one, key in paid if one.purpose == InvoicePurpose.NEW}
    for lead in sales.values():
        together.led_by(lead)
    bought = Order.objects.select_for_update(no_key=True).filter(invoice__in=bulk.these("uuid", sales))
    orders = {one.invoice_id: one for one in bought.order_by("pk").prefetch_related("items")}
    for invoice, key in paid:
        if invoice.pk in sales:
            _deliver_order(orders[invoice.pk], invoice, held[key])
        elif held[key].is_live:
            _extend_services(held[key], invoice)


def _deliver_order(order: Order, invoice: Invoice, subscription: Subscription) -> None:
    if order.state != OrderState.PENDING:
        return
    items = list(order.items.all())
    bought = {one.pk: subscription for one in items if one.subscription_id == subscription.pk}
    if len(bought) < len(items):
        with_theirs = order.items.select_related("subscription")
        bought = {one.pk: one.subscription for one in with_theirs if one.subscription}
    live = [one for one in items if bought[one.pk].is_live]
    if not live:
        _cancel(order, _("Подписка завершена"))
        return
    wanted = sorted({key for one in live for key in one.terms["deliver"]})
    rows = TariffVersion.objects.select_related("tariff__product")
    versions = gather.once(("orders.versions", *wanted), lambda: rows.in_bulk(wanted))
    until: dict[Any, date] = {}
    for line in invoice.lines.all():
        if line.period_end:
            until[line.subscription_id] = max(
                until.get(line.subscription_id, line.period_end), line.period_end
            )
    for item in live:
        mine = bought[item.pk]
        _deliver(item, order, invoice, mine, versions, until[mine.pk])
    reason = _("Оплачен") if invoice.paid_at else ""
    history.change_order(order, OrderState.IN_PROGRESS, items=live, reason=reason)
    if over := [one for one in items if one not in live]:
        moves.close_items(order, items, over, OrderState.CANCELLED, reason=_("Подписка завершена"))


def _deliver(
    item: OrderItem,
    order: Order,
    invoice: Invoice,
    subscription: Subscription,
    versions: dict[int, TariffVersion],
    until: date,
) -> None:
    """As many services as pieces, of a bundle one of each part."""
    for _piece in range(item.quantity):
        for key in item.terms["deliver"]:
            agreed = _agreed(item, key)
            # The tasks of a plan are written with what they are of.
            service = new_service(subscription, versions[key], at_end="plan_id" not in agreed)
            fulfilment.add(
                service,
                FulfilmentAction.PROVISION,
                order=order,
                item=item,
                invoice=invoice,
                period_end=until,
                **agreed,
            )


def _agreed(item: OrderItem, version_id: int) -> dict[str, Any]:
    """The plan and the promise that it was sold with, where it was."""
    key, found = str(version_id), {}
    if plan_id := item.terms.get("plans", {}).get(key):
        found["plan_id"] = plan_id
    if told := item.terms.get("promised_at"):
        # Its provider was down when it was sold.
        found["promised_at"] = datetime.fromisoformat(told)
    elif minutes := item.terms.get("promised", {}).get(key):
        found["promised_at"] = clock.now() + timedelta(minutes=minutes)
    return found


def orders_done(order_ids: Iterable[UUID]) -> None:
    """All of each was delivered: money that was held for it is taken."""
    done = Order.objects.filter(pk__in=bulk.these("uuid", order_ids)).select_related("invoice")
    for order in done.prefetch_related("invoice__payments__payment").order_by("pk"):
        payment = order.payment()
        if payment is not None and payment.is_held and not payment.second_stage:
            payments.capture(payment.pk, actor="delivery")


def new_service(subscription: Subscription, version: TariffVersion, *, at_end: bool = False) -> Service:
    """What a subscription is to be given of a product. `at_end`: written with others of its batch, if there is one."""
    with translation.override("ru"):
        name = f"{version.tariff.product}, {version.tariff.name}"
    service = Service(
        customer_id=subscription.customer_id,
        subscription=subscription,
        product_id=version.tariff.product_id,
        tariff_version=version,
        name=name[:300],
        request_id=uuid7(),
        created_at=clock.now(),
    )
    if at_end and gather.is_gathering():
        gather.at_end(_insert, [service])
    else:
        service.save(force_insert=True)
    history.record(service, "", service.state)
    return service


def _insert(made: Sequence[Service]) -> None:
    bulk.copy_objects(Service, made)


def _extend_services(subscription: Subscription, invoice: Invoice) -> None:
    """Of the subscription and its add-ons, each to the end of its own last line that was not given back."""
    stand = invoice.lines.exclude(credited=F("amount"), amount__gt=0).order_by("period_end")
    until = {line.subscription_id: line.period_end for line in stand}
    alive = Service.objects.select_for_update(no_key=True, of=("self",)).filter(
        subscription__in=[key for key in until if key], subscription__state__in=LIVE
    )
    for service in alive.exclude(state__in=ENDED_STATES).order_by("pk"):
        if not service.fulfilments.filter(invoice=invoice, action=FulfilmentAction.EXTEND).exists():
            fulfilment.add(
                service,
                FulfilmentAction.EXTEND,
                invoice=invoice,
                period_end=until[service.subscription_id],
            )


def days_given(subscription_id: UUID) -> None:
    """Its services run so much longer, without an invoice."""
    subscription = subscriptions.locked(subscription_id)
    if not subscription.is_live:
        return
    mine = Service.objects.select_for_update(no_key=True).filter(subscription=subscription)
    for service in mine.exclude(state__in=ENDED_STATES).order_by("pk"):
        fulfilment.add(service, FulfilmentAction.EXTEND, period_end=subscription.current_period_end)


def subscription_ended(subscription_id: UUID) -> None:
    """Switches its services off, and takes back at the provider what it may have given."""
    if subscriptions.locked(subscription_id).state in RUNNING:
        return
    mine = Service.objects.select_for_update(no_key=True).filter(subscription_id=subscription_id)
    for service in mine.exclude(state__in=ENDED_STATES).order_by("pk"):
        switch_off(service, _("Подписка завершена"))
    begun = OrderItem.objects.filter(subscription=subscription_id, action=ItemAction.ADD)
    order = Order.objects.select_for_update(no_key=True).filter(pk__in=begun.values("order")).first()
    if order is None or order.state not in _GOING_ON:
        return
    items = list(order.items.all())
    over = [one for one in items if one.subscription_id == subscription_id and one.state not in states.CLOSED]
    if over:
        moves.close_items(order, items, over, OrderState.CANCELLED, reason=_("Подписка завершена"))


def switch_off(service: Service, reason: Any) -> None:
    """A locked service is over; what the provider gave or may have given is taken back there."""
    moves.take_back(service, reason, was_asked=fulfilment.revoke_open(service))


def expire_order(order_id: UUID) -> None:
    """Its invoice was not paid in time."""
    order = Order.objects.select_for_update(no_key=True).filter(pk=order_id).first()
    if order is not None and order.state == OrderState.PENDING:
        begun = order.item.subscription
        used = begun is not None and begun.end_reason == "trial_used"
        _cancel(order, _("Пробный период уже был") if used else _("Не оплачен в срок"))


def customer_erased(customer_id: UUID) -> None:
    """Keys and personal links of an erased customer go; what was sold, when and for how much stays."""
    mine = Service.objects.select_for_update(no_key=True).filter(customer_id=customer_id)
    for service in mine.order_by("pk"):
        service.key = service.url = service.instructions = service.answers_text = ""
        service.save(update_fields=["key", "url", "instructions", "answers_text"])
        entitlements.follow([service])
    # Papers and words about them too: only that there were some stays.
    notes = TaskNote.objects.filter(fulfilment__service__customer_id=customer_id)
    notes.update(text="", content=None, file_name="", file_type="", sha256="")
    # A consent stays as proof, without the address it came from.
    given = Order.objects.select_for_update(no_key=True).filter(
        customer_id=customer_id, consent__has_key="ip"
    )
    for order in given.order_by("pk"):
        del order.consent["ip"]
        order.save(update_fields=["consent"])


def _cancel(order: Order, reason: Any) -> None:
    items = [one for one in order.items.all() if one.state not in states.CLOSED]
    history.change_order(order, OrderState.CANCELLED, items=items, reason=reason, closed_at=clock.now())
    events.publish("orders.OrderCancelled", order.pk, customer_id=order.customer_id)
