"""What must hold of calls and requests of one partner."""

from collections.abc import Iterator

from apps.callcenters.models import OPEN, CustomerRequest
from apps.callcenters.requests import KIND
from apps.core import audit
from apps.core.models import WorkItem
from apps.core.tenancy import current_partner_id


@audit.rule(
    "callcenters.request-in-queue",
    of=(
        audit.some(CustomerRequest, state__in=OPEN),
        audit.some(WorkItem, kind=KIND),
    ),
)
def request_in_queue() -> Iterator[str]:
    """A request is in the staff's queue exactly while somebody has to do something about it."""
    queued = set(
        WorkItem.objects.filter(partner_id=current_partner_id(), kind=KIND).values_list(
            "object_id", flat=True
        )
    )
    waiting = set(CustomerRequest.objects.filter(state__in=OPEN).values_list("pk", flat=True))
    for key in waiting - queued:
        yield f"Request {key} is open, and in nobody's queue"
    for key in queued - waiting:
        yield f"Request {key} is in the queue, and is not open"
