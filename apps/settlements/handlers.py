"""Due work of settlements."""

from uuid import UUID

from celery import shared_task

from apps.core import due, lanes
from apps.settlements import (  # noqa: F401 - one registers itself
    asking,
    morning,
    on_board,
    provider_days,
    statements,
)


@due.task(statements.MATCH)
def match(object_id: UUID) -> None:
    """Matches the lines of a statement whose loading was cut short."""
    statements.match(object_id)


@due.task(morning.TASK)
def look(object_id: UUID) -> None:
    """Checks yesterday of a gateway, and what of it was left open."""
    morning.look(object_id)


@due.task(provider_days.TASK)
def look_at_provider(object_id: UUID) -> None:
    """Checks yesterday of a provider, and what of it was left open."""
    provider_days.look(object_id)


due.task(asking.ASK)(asking.put)
due.task(asking.ANSWERED)(provider_days.go_on)
lanes.steps(asking.ASK, asking.Questions())


@shared_task(name="settlements.morning")
def plan_morning() -> None:
    """Beat plans the look at each gateway's and each provider's yesterday."""
    morning.plan()
    provider_days.plan()
