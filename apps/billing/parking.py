"""What a person decides about a bill that was out of bounds: it is issued after all, or it is not."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import bounds, subscriptions
from apps.billing.dunning_models import ParkedBill, ParkedState
from apps.billing.models import Subscription
from apps.core import clock, due
from apps.core.errors import Refused


def release(parked_id: UUID, *, note: str, actor: str) -> ParkedBill:
    """The bill is right: it is issued and charged by the next run, if it still comes to the same sum.

    Raises Refused: `bill_decided`, `note_needed`.
    """
    with transaction.atomic():
        parked, subscription = _open(parked_id, note)
        bounds.decide(parked, ParkedState.RELEASED, note=note, actor=actor)
        _go_on(parked, subscription, actor=actor)
    return parked


def void(parked_id: UUID, *, note: str, actor: str, cancel: bool = False) -> ParkedBill:
    """The bill is wrong: nothing of it is issued. What is right by now is computed anew, and looked at anew.

    With `cancel` the subscription is not renewed at all. Raises Refused: `bill_decided`, `note_needed`.
    """
    with transaction.atomic():
        parked, subscription = _open(parked_id, note)
        bounds.decide(parked, ParkedState.VOIDED, note=note, actor=actor)
        _go_on(parked, subscription, actor=actor)
        if cancel:
            subscriptions.cancel(subscription, reason=note[:60], actor=actor)
    return parked


def _open(parked_id: UUID, note: str) -> tuple[ParkedBill, Subscription]:
    if not note.strip():
        raise Refused("note_needed", _("Напишите, почему так решили: это останется в журнале"), status=400)
    owner = ParkedBill.objects.values_list("subscription", flat=True).get(pk=parked_id)
    subscription = subscriptions.locked(owner)
    parked = ParkedBill.objects.select_for_update(no_key=True).get(pk=parked_id)
    if parked.state != ParkedState.WAITING:
        raise Refused("bill_decided", _("По этому счёту уже решили: %s") % parked.get_state_display())
    return parked, subscription


def _go_on(parked: ParkedBill, subscription: Subscription, *, actor: str) -> None:
    subscription.is_parked = False
    subscription.save(update_fields=["is_parked"])
    due.schedule(subscriptions.RENEW, subscription.pk, clock.now())
    journal.record(
        f"subscription.bill-{parked.state}",
        subscriptions.KIND,
        subscription.pk,
        actor=actor,
        data={"reason": parked.note, "bill": str(parked.pk), "total": str(parked.total)},
    )
