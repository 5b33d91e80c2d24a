"""What must hold of what orders hold elsewhere: stock that was put aside, changes that billing decides."""

from collections import Counter
from collections.abc import Iterator

from apps.billing.models import RUNNING
from apps.core import audit
from apps.core.models import Delivery
from apps.core.tenancy import current_partner_id
from apps.orders import changing, leaving, states
from apps.orders.models import ItemAction, OrderItem, OrderState
from apps.orders.reserving import RESERVED
from apps.providers.models import ActivationKey


@audit.rule(
    "orders.reserved-is-of-open-order",
    of=(
        audit.some(ActivationKey, state=ActivationKey.State.RESERVED),
        audit.some(OrderItem, state=OrderState.PENDING, terms__has_key=RESERVED),
    ),
)
def reserved_is_of_open_order() -> Iterator[str]:
    """A reserved key lies for an item that is not over, and for each that waits for its money lie as many as were."""
    keys = ActivationKey.objects.filter(partner_id=current_partner_id(), state=ActivationKey.State.RESERVED)
    lying = Counter(keys.exclude(holder_id=None).values_list("holder_id", flat=True))
    items = OrderItem.objects.filter(pk__in=list(lying)).exclude(state__in=states.CLOSED)
    for holder in sorted(set(lying) - set(items.values_list("pk", flat=True)), key=str):
        yield f"{lying[holder]} keys are reserved for {holder}, which is over or unknown"
    waiting = OrderItem.objects.filter(state=OrderState.PENDING, terms__has_key=RESERVED)
    for item in waiting:
        if lying[item.pk] != item.terms[RESERVED]:
            yield f"Item {item.pk} has {lying[item.pk]} keys of {item.terms[RESERVED]} that were reserved for it"


@audit.rule("orders.change-is-what-billing-says", of=(audit.some(OrderItem, action=ItemAction.MODIFY),))
def change_is_what_billing_says() -> Iterator[str]:
    """A change that is open waits for its money or its day, and one that is closed does not, once the news came."""
    told = Delivery.objects.filter(partner_id=current_partner_id()).values("event__object_id")
    items = OrderItem.objects.filter(action=ItemAction.MODIFY).exclude(subscription__in=told)
    for item in items.select_related("order", "subscription").order_by("pk"):
        is_over = item.subscription is not None and item.subscription.state not in RUNNING
        wanted = changing.outcome(changing.source_of(item))
        if item.state != item.order.state:
            yield f"Order {item.order.number} is {item.order.state}, and its change is {item.state}"
        elif wanted == OrderState.PENDING and not is_over and item.state != wanted:
            yield f"Order {item.order.number} is {item.state}, and its change is still to come"
        elif wanted != OrderState.PENDING and item.state not in states.CLOSED:
            yield f"Order {item.order.number} is {item.state}, and its change is {wanted}"


@audit.rule("orders.cancellation-is-what-billing-says", of=(audit.some(OrderItem, action=ItemAction.DELETE),))
def cancellation_is_what_billing_says() -> Iterator[str]:
    """What is to be disconnected waits while its subscription runs, and is over with it, once the news came."""
    told = Delivery.objects.filter(partner_id=current_partner_id()).values("event__object_id")
    items = leaving.of_subscriptions().filter(position=1).exclude(subscription__in=told)
    for lead in items.select_related("order", "subscription").order_by("pk"):
        assert lead.subscription is not None
        wanted = leaving.outcome(lead, lead.subscription)
        allowed = {wanted, OrderState.IN_PROGRESS} if wanted == OrderState.COMPLETED else {wanted}
        if lead.state != lead.order.state:
            yield f"Order {lead.order.number} is {lead.order.state}, and what it disconnects is {lead.state}"
        elif lead.state not in allowed:
            yield f"Order {lead.order.number} is {lead.state}, and by its subscription it is {wanted}"
