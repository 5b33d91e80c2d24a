"""What must hold of a base that moves in, and of mass actions."""

from collections.abc import Iterator

from django.db.models import Count, F, Q

from apps.billing.mass.models import MassAction, MassRow, MassRowState, MassState
from apps.billing.models import PhaseKind, Subscription
from apps.billing.moving.batches import BACK, MOVE
from apps.billing.moving.models import BaseBatch, BaseRow, BaseRowState, BatchState
from apps.core import audit
from apps.core.models import Due
from apps.core.tenancy import current_partner_id


@audit.rule("billing.moved-or-waits", of=(BaseRow,))
def moved_or_waits() -> Iterator[str]:
    """What was moved is a subscription on its row's terms; what waits is none, and cannot be billed."""
    rows = BaseRow.objects.defer("person", "secrets")
    for row in rows.filter(state=BaseRowState.MOVED, subscription=None):
        yield f"Row {row.external_id} was moved and is no subscription"
    waits = rows.filter(state=BaseRowState.WAITING, subscription__isnull=False)
    for row in waits.exclude(subscription__end_reason=BACK):
        yield f"Row {row.external_id} waits, and subscription {row.subscription_id} of it runs"
    moved = Subscription.objects.filter(moved_from__state=BaseRowState.MOVED)
    begun = Count("phases", filter=Q(phases__kind=PhaseKind.MOVED, phases__dropped_at=None))
    for one in moved.annotate(begun=begun).exclude(begun=1):
        yield f"Subscription {one.pk} was moved in, and {one.begun} phases say so"
    # The row as it was moved and the first terms that we bill say the same.
    other = moved.filter(phases__kind=PhaseKind.MOVED, phases__dropped_at=None).exclude(
        phases__price=F("moved_from__price"),
        phases__quantity=F("moved_from__quantity"),
        phases__anchor_date=F("moved_from__next_charge_date"),
    )
    for subscription in other:
        yield f"Subscription {subscription.pk} was moved in on other terms than its row says"


@audit.rule("billing.batch-adds-up", of=(BaseBatch,))
def batch_adds_up() -> Iterator[str]:
    """A batch has as many rows as it says, and one that is planned will be moved."""
    counted = BaseBatch.objects.filter(state=BatchState.DONE).annotate(
        there=Count("rows", filter=Q(rows__state=BaseRowState.MOVED))
    )
    for batch in counted.exclude(there=F("moved")):
        yield f"Batch {batch.pk} says {batch.moved} rows, and {batch.there} are there"
    planned = Due.objects.filter(partner_id=current_partner_id(), kind=MOVE).values_list(
        "object_id", flat=True
    )
    for waits in BaseBatch.objects.filter(state=BatchState.PLANNED).exclude(pk__in=list(planned)):
        yield f"Batch {waits.pk} is planned, and nothing will move it"


@audit.rule("billing.mass-agreed", of=(MassAction, MassRow))
def mass_agreed() -> Iterator[str]:
    """Nothing of a mass action is done before somebody has agreed, and one that goes on will be gone on with."""
    done = MassRow.objects.filter(state=MassRowState.DONE, action__confirmed_at=None)
    for row in done:
        yield f"Row {row.pk} of mass action {row.action_id} was done, and nobody agreed"
    planned = Due.objects.filter(partner_id=current_partner_id(), kind="billing.mass_action")
    moving = MassAction.objects.filter(state__in=[MassState.COUNTING, MassState.RUNNING])
    for action in moving.exclude(pk__in=list(planned.values_list("object_id", flat=True))):
        yield f"Mass action {action.pk} is {action.state}, and nothing will go on with it"
