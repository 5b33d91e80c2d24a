"""What the journal keeps for a while only: answers for a day, exchanges for a quarter; audit entries stay."""

from datetime import timedelta

from apps.core import clock, housekeeping
from apps.core.ids import floor
from apps.journal.idempotency import LIFETIME
from apps.journal.models import Exchange, IdempotentAnswer

EXCHANGES_KEPT = timedelta(days=90)
"""As long as incoming messages."""


@housekeeping.chore
def drop_answers() -> None:
    """Answers that no repetition gets any more."""
    IdempotentAnswer.objects.filter(created_at__lt=clock.wall() - LIFETIME).delete()


@housekeeping.chore
def drop_exchanges() -> None:
    """By the key, which is ordered by time: the table needs no index for this."""
    Exchange.objects.filter(pk__lt=floor(clock.wall() - EXCHANGES_KEPT)).delete()
