"""What nobody needs any more is dropped: from the tables of core here, from an app's own by its chores."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection

from apps.core import clock, throttle
from apps.core.ids import floor
from apps.core.tenancy import in_partner, in_public

if TYPE_CHECKING:
    from apps.partners.models import Partner

Chore = Callable[[], None]
_chores: list[Chore] = []
EVENTS_KEPT = timedelta(days=30)
BATCH = 10_000


def chore(function: Chore) -> Chore:
    """Registers what drops an app's old rows: called in every partner's schema and in the public one."""
    _chores.append(function)
    return function


def of_platform() -> None:
    """What stands in the public schema."""
    with in_public():
        _drop_events()
        throttle.housekeeping()
        for tidy in _chores:
            tidy()


def of_partners(partners: Iterable["Partner"]) -> None:
    """What stands in these partners' schemas."""
    for partner in partners:
        with in_partner(partner):
            for tidy in _chores:
                tidy()


# By the key, which is ordered by the wall clock: an index on the moment would serve nothing else, and in a sandbox
# that moment may lie years ahead.
_EVENTS = """
DELETE FROM core_event WHERE id IN (
    SELECT id FROM core_event WHERE id < %s
    AND NOT EXISTS (SELECT FROM core_delivery WHERE core_delivery.event_id = core_event.id) LIMIT %s
)
"""


def _drop_events() -> None:
    """Events that every handler has had."""
    with connection.cursor() as cursor:
        dropped = BATCH
        while dropped == BATCH:
            cursor.execute(_EVENTS, [floor(clock.wall() - EVENTS_KEPT), BATCH])
            dropped = cursor.rowcount
