"""Days of providers that nobody has closed, for the platform's «Пульт исполнения»."""

from collections.abc import Iterator

from django.db.models import Count, Max, Min, Q, Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core import links
from apps.core.money import Money
from apps.orders.control import board
from apps.settlements.provider_models import ProviderDay


@board.also
def open_days() -> Iterator[board.Notice]:
    """A line for each provider with open days, those with most to decide first."""
    left = Q(differences__id__isnull=False, differences__explained_at=None)
    rows = (
        ProviderDay.objects.filter(state=ProviderDay.State.OPEN, is_test=False)
        .values("provider", "provider__name", "currency")
        .annotate(
            days=Count("pk", distinct=True),
            first=Min("day"),
            last=Max("day"),
            left=Count("differences", filter=left),
            amount=Sum("differences__amount", filter=left),
        )
        .order_by("-left", "first")
    )
    for one in rows:
        days = f"{one['first']:%d.%m.%Y}"
        if one["days"] > 1:
            days = _("{first} – {last}, дней: {count}").format(
                first=days, last=f"{one['last']:%d.%m.%Y}", count=one["days"]
            )
        details = _("без расхождений, по нашим данным")
        if one["left"]:
            said = ngettext("%d расхождение", "%d расхождений", one["left"]) % one["left"]
            details = f"{said}, {Money(one['amount'], one['currency'])}"
        url = f"{links.list_of(ProviderDay)}?provider__id__exact={one['provider']}&state__exact=open"
        yield board.Notice(one["provider__name"], days, details, url)
