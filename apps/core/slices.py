"""Work over all partners, a slice of them at a time: no lease and no message has to last longer with more partners."""

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.apps import apps
from django.db import transaction
from django.db.models import QuerySet

from apps.core import clock, due
from apps.core.tenancy import in_public

if TYPE_CHECKING:
    from apps.partners.models import Partner

SIZE = 10
APART = timedelta(seconds=1)
"""Between the slices, so that they do not stand in a row before customers' work."""


def plan(kind: str) -> int:
    """Plans due work `kind` for every slice; how many there are."""
    with in_public(), transaction.atomic():
        now, firsts = clock.wall(), list(_everyone().values_list("pk", flat=True))[::SIZE]
        for number, first in enumerate(firsts):
            due.schedule(kind, UUID(int=first), now + APART * number, wall=True)
    return len(firsts)


def partners(object_id: UUID) -> list["Partner"]:
    """The slice that a planned object stands for: it is named by the id of its first partner."""
    with in_public():
        return list(_everyone().filter(pk__gte=object_id.int)[:SIZE])


def _everyone() -> QuerySet["Partner"]:
    found: QuerySet[Partner] = apps.get_model("partners.Partner").objects.order_by("pk")
    return found
