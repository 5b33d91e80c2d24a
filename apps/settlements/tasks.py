"""Celery's entry points of settlements."""

from celery import shared_task

from apps.settlements import morning


@shared_task(name="settlements.morning")
def plan_morning() -> None:
    """Plans the look at each gateway's yesterday."""
    morning.plan()
