"""What must hold of stock that was put aside for orders."""

from collections import Counter
from collections.abc import Iterator

from apps.core import audit
from apps.core.tenancy import current_partner_id
from apps.orders import states
from apps.orders.models import OrderItem, OrderState
from apps.orders.reserving import RESERVED
from apps.providers.models import ActivationKey


@audit.rule("orders.reserved-is-of-open-order")
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
