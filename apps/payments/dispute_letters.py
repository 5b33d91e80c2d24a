"""Letters to staff about a dispute: when it is opened, when the bank asks for more, and when its deadline is near."""

from datetime import timedelta
from uuid import UUID

from django.utils import translation
from django.utils.translation import gettext as _

from apps.core import clock, due
from apps.notifications import staff
from apps.payments.authority import DECIDERS
from apps.payments.dispute_models import Dispute, DisputeKind, DisputeState

REMIND = "payments.dispute_deadline"
AHEAD = timedelta(days=2)
"""For how long before its deadline staff are reminded of a dispute that nobody has answered."""


def plan(made: Dispute) -> None:
    """A reminder ahead of the deadline, where there is that much time; in the transaction that sets the deadline."""
    at = made.respond_by - AHEAD
    if at > clock.now():
        due.schedule(REMIND, made.pk, at)
    else:
        due.cancel(REMIND, made.pk)


def opened(dispute_id: UUID) -> None:
    """A dispute is new. Once, however often it is told."""
    made = Dispute.objects.get(pk=dispute_id)
    with translation.override("ru"):
        is_chargeback = made.kind == DisputeKind.CHARGEBACK
        headline = _("Новый чарджбэк: %s") if is_chargeback else _("Новая претензия: %s")
        _tell("opened", made, headline % made.money)


def asked_again(made: Dispute) -> None:
    """The bank wants more, by another deadline."""
    with translation.override("ru"):
        _tell(f"again:{made.respond_by.timestamp():.0f}", made, _("Банк просит ещё: спор на %s") % made.money)


def remind(dispute_id: UUID) -> None:
    """Its deadline is near, and it still needs an answer."""
    made = Dispute.objects.get(pk=dispute_id)
    if made.state != DisputeState.NEEDS_RESPONSE or made.respond_by - AHEAD > clock.now():
        return
    with translation.override("ru"):
        _tell(
            f"near:{made.respond_by.timestamp():.0f}", made, _("Скоро срок ответа: спор на %s") % made.money
        )


def _tell(event: str, made: Dispute, headline: str) -> None:
    staff.alert(
        key=f"dispute:{made.pk}:{event}",
        roles=DECIDERS,
        headline=headline,
        page=f"/admin/payments/dispute/{made.pk}/change/",
        reason=made.reason,
        amount=made.money,
        deadline=made.respond_by,
    )
