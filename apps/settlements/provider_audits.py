"""What must hold of days reconciled with providers."""

from collections.abc import Iterator

from django.db.models import Exists, OuterRef

from apps.core import audit
from apps.core.models import WorkItem
from apps.settlements.models import ProviderDay, ProviderDifference


@audit.rule(
    "settlements.provider-day-decided",
    scope="public",
    of=(audit.some(ProviderDifference, explained_at=None),),
)
def provider_day_decided() -> Iterator[str]:
    """Of a closed day nothing is left to decide; of an open one, what is left stands with staff."""
    left = ProviderDifference.objects.filter(day=OuterRef("pk"), explained_at=None)
    told = WorkItem.objects.filter(kind=ProviderDay.KIND, object_id=OuterRef("pk"))
    days = ProviderDay.objects.filter(Exists(left))
    for row in days.filter(state=ProviderDay.State.CLOSED):
        yield f"Day {row.pk} is closed, and something of it is not decided"
    for row in days.filter(~Exists(told), state=ProviderDay.State.OPEN):
        yield f"Day {row.pk} differs from its provider's, and nobody is told"
