"""What must hold of orders, fulfilments and services, derived from the data itself."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery

from apps.billing import gifts, held, paying
from apps.billing.models import LIVE, RUNNING, Invoice, InvoiceLine, InvoiceState
from apps.core import audit, clock, search
from apps.core.models import Delivery, Due, WorkItem
from apps.core.tenancy import current_partner, current_partner_id
from apps.orders import entitlements, held_audits, settled_audits, states  # noqa: F401 - two register themselves
from apps.orders.control import standing
from apps.orders.models import (
    ENDED_STATES,
    OPEN_STATES,
    Fulfilment,
    FulfilmentState,
    ItemAction,
    Order,
    OrderItem,
    OrderKind,
    OrderState,
    Service,
    ServiceState,
)
from apps.orders.placing import KIND, START
from apps.orders.task_models import CURRENT, TaskNote
from apps.providers.models import OpenRequest
from apps.providers.portal.models import Entitlement

NOT_BEGUN = (OrderState.DRAFT, OrderState.ACKNOWLEDGED, OrderState.PENDING, OrderState.REJECTED)
NOT_DELIVERED = (OrderState.CANCELLED, OrderState.FAILED, OrderState.REJECTED)
UNBILLED = (OrderState.DRAFT, OrderState.REJECTED)
"""States of an order that has no invoice yet, or never had one."""


def _told() -> QuerySet[Delivery, Any]:
    """What news of the partner is still on its way about."""
    return Delivery.objects.filter(partner_id=audit.PARTNER).values("event__object_id")


def _paid() -> QuerySet[OrderItem]:
    paid = Order.objects.filter(invoice__state="paid").exclude(state=OrderState.CANCELLED)
    items = OrderItem.objects.filter(order__in=paid.exclude(invoice__in=_told()), action=ItemAction.ADD)
    found = Count("fulfilments", filter=Q(fulfilments__action="provision"))
    return items.exclude(state__in=NOT_DELIVERED).annotate(found=found)


_PAID: audit.Query[Any] = audit.Query(_paid)
_DONE_TOO_EARLY = audit.Query(
    # A provider that answers after it has taken back is asked to once more.
    lambda: Order.objects.filter(
        Exists(
            Fulfilment.objects.filter(order=OuterRef("pk")).exclude(
                state__in=[FulfilmentState.DONE, FulfilmentState.REVOKED]
            )
        ),
        state=OrderState.COMPLETED,
    ).exclude(kind=OrderKind.CANCEL)
)
_RENEWED_IN_VAIN = audit.Query(
    lambda: Invoice.objects.filter(
        state="paid", purpose="renewal", subscription__state__in=LIVE, fulfilments=None
    ).exclude(pk__in=_told())
)


@audit.rule("orders.paid-is-fulfilled", of=(Order, Invoice))
def paid_is_fulfilled() -> Iterator[str]:
    """Whatever was paid is being done or was done: an order's deliverables, a renewal's extensions."""
    for item in _PAID.rows():
        wanted = item.quantity * len(item.terms.get("deliver", []))
        if item.found != wanted:
            yield f"Order {item.order.number} is paid for {wanted} deliverables and has {item.found}"
    for order in _DONE_TOO_EARLY.rows():
        yield f"Order {order.number} is done, and one of its fulfilments is not"
    for invoice in _RENEWED_IN_VAIN.rows():
        if invoice.subscription and invoice.subscription.services.exclude(state__in=ENDED_STATES).exists():
            yield f"Renewal {invoice.number} is paid and extends nothing"


_WITH_STAFF = {FulfilmentState.NEEDS_STAFF, FulfilmentState.INFORMATION_REQUIRED, FulfilmentState.HELD}


@audit.rule("orders.open-is-planned", of=(audit.some(Fulfilment, state__in=OPEN_STATES),))
def open_is_planned() -> Iterator[str]:
    """A fulfilment that is not finished is planned, or stands in the staff's queue."""
    mine = current_partner_id()
    planned = set(
        Due.objects.filter(partner_id=mine, kind="orders.fulfil").values_list("object_id", flat=True)
    )
    # What is undone may wait for its cancellation.
    withdrawn = {
        *Fulfilment.objects.filter(action="cancel", state__in=OPEN_STATES).values_list("service", flat=True)
    }
    queued = set(
        WorkItem.objects.filter(partner_id=mine, kind="orders.Fulfilment").values_list("object_id", flat=True)
    )
    # What waits for somebody outside is watched until its deadline, and stands with staff from then on.
    waiting = set(
        Fulfilment.objects.filter(tasks__kind="wait", tasks__state__in=CURRENT).values_list("pk", flat=True)
    )
    watched = set(
        Due.objects.filter(partner_id=mine, kind="orders.watch").values_list("object_id", flat=True)
    )
    spoken_for = waiting & (watched | queued)
    for row in Fulfilment.objects.filter(state__in=OPEN_STATES):
        if row.state == FulfilmentState.COMPENSATING:
            is_seen = row.pk in planned | queued or row.service_id in withdrawn
        else:
            is_seen = row.pk in (queued if row.state in _WITH_STAFF else planned | spoken_for)
        if not is_seen:
            yield f"Fulfilment {row.pk} is {row.state}, and nobody will do it"


_FOR_LATER = {
    "kind": OrderKind.NEW,
    "state": OrderState.PENDING,
    "invoice__isnull": True,
    "scheduled_at__isnull": False,
}


@audit.rule("orders.scheduled-is-planned", of=(audit.some(Order, **_FOR_LATER),))
def scheduled_is_planned() -> Iterator[str]:
    """An order that was accepted for a later day is sold then, or tried again: it is forgotten by nobody."""
    # One statement: between two of them a worker may sell it, and take its plan away.
    plans = Due.objects.filter(partner_id=current_partner_id(), kind=START, object_id=OuterRef("pk"))
    for order in Order.objects.filter(~Exists(plans), **_FOR_LATER):
        yield f"Order {order.number} waits for its day, and nobody will sell it"


@audit.rule("orders.open-is-on-the-board")
def open_is_on_the_board() -> Iterator[str]:
    """The public table says what the fulfilments do: nothing hangs unseen, nothing settled stays."""
    held = OpenRequest.objects.filter(partner_id=current_partner().pk)
    columns = ("request_id", "state", "connection_id", "attempts", "next_at", "amount")
    shown = {row[0]: row for row in held.values_list(*columns)}
    wanted = {row[0]: row for row in standing.derived()}
    for key in wanted.keys() | shown.keys():
        if key not in shown:
            yield f"Fulfilment {key} is {wanted[key][1]}, and the board does not show it"
        elif key not in wanted:
            yield f"Fulfilment {key} is settled, and the board still shows it"
        elif wanted[key] != shown[key]:
            yield f"Fulfilment {key} is not as the board shows it"


@audit.rule("orders.service-follows-money", of=(Service,))
def service_follows_money() -> Iterator[str]:
    """A service is on while its subscription lives, and off soon after it has ended."""
    told = set(
        Delivery.objects.filter(partner_id=current_partner_id()).values_list("event__object_id", flat=True)
    )
    rows = Service.objects.exclude(subscription__in=told)
    # What fails for good goes off before its subscription ends: `paid-item-settled` has it.
    given_up = Fulfilment.objects.filter(state__in=["compensating", "failed"], action="provision")
    rows = rows.exclude(subscription__in=given_up.values("service__subscription"))
    # As many as were bought; of another tariff, or more than the quantity, they went off by a change.
    counts = (
        rows.filter(subscription__state__in=LIVE)
        .values("subscription", "subscription__quantity")
        .annotate(on=Count("pk", filter=~Q(state__in=ENDED_STATES)))
    )
    for row in counts.order_by():
        if not row["on"] or row["on"] % row["subscription__quantity"]:
            yield f"Subscription {row['subscription']} lives, and {row['on']} of its services are on"
    for service in rows.filter(state=ServiceState.ACTIVE, subscription__state="paused"):
        yield f"Service {service.pk} is active while its subscription is paused"
    over = rows.exclude(state__in=ENDED_STATES).exclude(subscription__state__in=[*RUNNING, "pending"])
    for service in over:
        yield f"Service {service.pk} is {service.state} after its subscription has ended"


_UNTOLD = """
SELECT s.id, s.state, h.became FROM orders_service s LEFT JOIN LATERAL (
    SELECT became FROM orders_history WHERE object_id = s.id ORDER BY id DESC LIMIT 1) h ON true
WHERE s.state IS DISTINCT FROM h.became
    OR s.state IN ('active', 'suspended') AND (s.activated_at IS NULL OR s.off_at IS NOT NULL)
    OR s.state IN ('pending_terminate', 'terminated', 'cancelled', 'aborted') AND s.off_at IS NULL
    OR s.state = 'pending_terminate' AND NOT EXISTS (SELECT FROM orders_fulfilment f
        WHERE f.service_id = s.id AND f.action = 'cancel' AND f.state <> 'revoked')
"""


@audit.rule("orders.service-states", of=(Service,))
def service_states() -> Iterator[str]:
    """A service's state is what its history says last, has its dates, and what is to be taken back is asked for."""
    with connection.cursor() as cursor:
        cursor.execute(_UNTOLD)
        for key, state, told in cursor.fetchall():
            yield f"Service {key} is {state}, its history says {told}, or its dates or its cancellation lack"


@audit.rule("orders.entitlement-agrees")
def entitlement_agrees() -> Iterator[str]:
    """What providers are answered is what the services say, each by its own provider; nothing stands there besides."""
    kept = {row.service_id: row for row in Entitlement.objects.filter(partner_id=current_partner().pk)}
    given = Service.objects.exclude(activated_at=None).select_related("product")
    asked: dict[UUID, set[int | None]] = defaultdict(set)
    for key, provider in Fulfilment.objects.values_list("service", "provider").distinct():
        asked[key].add(provider)
    for service in given.iterator(chunk_size=2000):
        row = kept.pop(service.pk, None)
        if row is None:
            yield f"Service {service.pk} was given out, and its provider is told of none"
        elif entitlements.told(service) != entitlements.kept(row):
            yield f"Service {service.pk} is {service.state}, its provider is told {row.state}, or of another"
        elif row.provider_id not in {service.product.provider_id, *asked[service.pk]}:
            yield f"Service {service.pk} is shown to provider {row.provider_id}, who never supplied it"
    for key in kept:
        yield f"A provider is told of service {key}, which was never given out"


@audit.rule("orders.awaiting-has-invoice", of=(Order,))
def awaiting_has_invoice() -> Iterator[str]:
    """An accepted order has a number and an invoice of its own amount; none waits for ever."""
    long_ago = clock.now() - timedelta(days=30)
    for order in (
        Order.objects.filter(kind=OrderKind.NEW).exclude(state__in=UNBILLED).select_related("invoice")
    ):
        if order.invoice is None:
            # Of one for later, until then; of a draft that nobody placed, never.
            is_unsold = order.scheduled_at is not None or (
                order.state == OrderState.CANCELLED and not order.number
            )
            is_wrong = not is_unsold or order.state in {OrderState.IN_PROGRESS, OrderState.COMPLETED}
        else:
            is_wrong = not order.number or order.invoice.total != order.total
        if is_wrong:
            yield f"Order {order.pk} has no invoice of {order.money}"
        elif order.state == OrderState.PENDING and (order.scheduled_at or order.created_at) < long_ago:
            yield f"Order {order.number} has waited for its payment for 30 days"


@audit.rule("orders.erased-keep-no-key", of=(audit.some(Service, customer__erased_at__isnull=False),))
def erased_keep_no_key() -> Iterator[str]:
    """Nothing that opens a product is kept of an erased customer, once the news has come here."""
    told = set(
        Delivery.objects.filter(partner_id=current_partner_id()).values_list("event__object_id", flat=True)
    )
    for service in Service.objects.filter(customer__erased_at__isnull=False).exclude(customer__in=told):
        if service.key or service.url:
            yield f"Service {service.pk} of an erased customer still has what opens it"
    notes = TaskNote.objects.filter(fulfilment__service__customer__erased_at__isnull=False)
    for note in notes.exclude(fulfilment__service__customer__in=told).defer("content"):
        if note.text or note.file_name:
            yield f"Note {note.pk} about an erased customer still says something"


# Of the invoice and its line nothing changes once it is issued, of a version nothing once it is sold, of the terms
# that a subscription began with nothing at all. An add-on is sold up to its parent's bill date: for a part of the
# price.
_SOLD = """
SELECT o.number, o.id
FROM orders_order o
JOIN orders_orderitem e ON e.order_id = o.id AND e.action = 'add'
LEFT JOIN billing_invoice i ON i.id = o.invoice_id
LEFT JOIN LATERAL (
    SELECT * FROM billing_invoiceline n WHERE n.invoice_id = i.id AND n.subscription_id = e.subscription_id
    ORDER BY n.position LIMIT 1
) l ON true
LEFT JOIN public.catalog_tariffversion v ON v.id = e.tariff_version_id
LEFT JOIN public.catalog_tariff t ON t.id = v.tariff_id
LEFT JOIN public.catalog_offer f ON f.id = e.offer_id
LEFT JOIN billing_subscription s ON s.id = e.subscription_id
LEFT JOIN billing_subscriptionphase p ON p.id = l.phase_id
WHERE o.invoice_id IS NOT NULL AND (
    (e.price, e.quantity, o.currency, o.customer_id, o.legal_entity_id, e.tariff_version_id, e.product_id,
    t.id, e.terms ->> 'vat_code')
    IS DISTINCT FROM (COALESCE(p.price, s.price), l.quantity, i.currency, i.customer_id, i.legal_entity_id,
    l.tariff_version_id, t.product_id, f.tariff_id, v.vat_code)
    OR s.parent_id IS NULL AND e.total <> e.price * e.quantity - l.discount OR l.product_id <> e.product_id
    OR e.total IS DISTINCT FROM (
        SELECT sum(n.amount) FROM billing_invoiceline n
        WHERE n.invoice_id = i.id AND n.subscription_id = e.subscription_id)
    OR i.order_id IS DISTINCT FROM o.id)
"""
_SUMS = """
SELECT o.number, o.id FROM orders_order o
LEFT JOIN billing_invoice i ON i.id = o.invoice_id
WHERE o.kind = 'new' AND (
    o.total IS DISTINCT FROM (SELECT COALESCE(sum(e.total), 0) FROM orders_orderitem e WHERE e.order_id = o.id)
    OR i.id IS NOT NULL AND i.total <> o.total)
"""


@audit.rule("orders.sold-as-ordered", of=(Order,))
def sold_as_ordered() -> Iterator[str]:
    """An order's items say what was billed for them, at the price that their subscriptions began with."""
    with connection.cursor() as cursor:
        cursor.execute(_SOLD)
        for number, key in cursor.fetchall():
            yield f"Order {number or key} is not what was sold and billed"


@audit.rule("orders.items-add-up", of=(Order,))
def items_add_up() -> Iterator[str]:
    """The sums of the items are the order's, and that is its invoice's."""
    with connection.cursor() as cursor:
        cursor.execute(_SUMS)
        for number, key in cursor.fetchall():
            yield f"Order {number or key} is of another sum than its items"


@audit.rule("orders.items-agree", of=(OrderItem,))
def items_agree() -> Iterator[str]:
    """What is delivered of an item is what its state says, and the states of all items are the order's."""
    for item in _APART.rows():
        yield f"Item {item.pk} is {item.state}, and its fulfilments are not"
    by_order: dict[tuple[UUID, str, str], list[str]] = {}
    for one in _ITEMS.rows():
        by_order.setdefault((one.order_id, one.order_number, one.order_state), []).append(one.state)
    for (key, number, state), found in by_order.items():
        whole = states.of_items(found)
        if (whole or state) != state or (state in states.CLOSED and whole is None):
            yield f"Order {number or key} is {state}, its items are {', '.join(sorted(found))}"


def _apart() -> QuerySet[OrderItem]:
    mine = Fulfilment.objects.filter(item=OuterRef("pk"), action="provision")
    items = OrderItem.objects.filter(action=ItemAction.ADD).exclude(order__in=_told())
    # What is undone, or undone again, is `paid-item-settled`'s.
    over = [
        FulfilmentState.DONE,
        FulfilmentState.REVOKED,
        FulfilmentState.FAILED,
        FulfilmentState.COMPENSATING,
    ]
    open_yet = Exists(mine.exclude(state__in=over))
    items = items.annotate(is_open=open_yet, is_begun=Exists(mine))
    wrong = Q(is_open=True, state__in=states.CLOSED) | Q(is_begun=True, state__in=NOT_BEGUN)
    return items.filter(wrong)


_APART = audit.Query(_apart)
_ITEMS: audit.Query[Any] = audit.Query(
    lambda: (
        OrderItem.objects.filter(order__kind=OrderKind.NEW)
        .only("order_id", "state")
        .annotate(order_number=F("order__number"), order_state=F("order__state"))
    )
)


def _past_paid() -> QuerySet[Service]:
    # Where others collect the money, a period is granted with its invoice; where it is held first, with the hold.
    granted = Q(invoice__state=InvoiceState.OPEN, invoice__collection__in=paying.GRANTED) | held.ON_HOLD
    paid = InvoiceLine.objects.filter(
        granted | Q(invoice__state__in=[InvoiceState.PAID, InvoiceState.REFUNDED]),
        subscription=OuterRef("subscription"),
        period_end__isnull=False,
    )
    until = Subquery(paid.order_by("-period_end").values("period_end")[:1])
    services = Service.objects.exclude(active_until=None).annotate(paid_until=until)
    return services.filter(Q(paid_until=None) | Q(active_until__gt=F("paid_until")))


_PAST_PAID = audit.Query(_past_paid)


@audit.rule("orders.service-within-paid", of=(Service,))
def service_within_paid() -> Iterator[str]:
    """No service runs longer than its subscription is paid."""
    over: list[Any] = list(_PAST_PAID.rows())
    # Days that were paid to another system, or given, have no invoice of ours.
    free = gifts.free_days({service.subscription_id for service in over}) if over else {}
    for service in over:
        last = gifts.with_free_days(service.paid_until, free.get(service.subscription_id, ()))
        if last is not None and service.active_until and service.active_until <= last:
            continue
        yield f"Service {service.pk} runs to {service.active_until}, paid is {service.paid_until}"


_UNFOUND = audit.Query(lambda: search.unfindable(KIND, Order.objects.exclude(number=""), audit.PARTNER))


@audit.rule("orders.findable", of=(Order,))
def findable() -> Iterator[str]:
    """Every order is found by its number."""
    for order in _UNFOUND.rows():
        yield f"Order {order.number} is not found by its number"
