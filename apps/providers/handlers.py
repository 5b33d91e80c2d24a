"""What providers' own data does when something happens above."""

from apps.core import events
from apps.core.models import Event
from apps.core.tenancy import current_partner
from apps.providers import keys
from apps.providers.models import KeyPool
from apps.providers.portal import letters, requests  # noqa: F401 - letters are due work


@events.on("accounts.CustomerErased")
def forget_what_was_told(event: Event) -> None:
    requests.forget(current_partner().pk, str(event.object_id))


@events.on(keys.STOCK)
def warn_of_low_stock(event: Event) -> None:
    pool = KeyPool.objects.filter(pk=event.object_id.int).first()
    if pool is not None:
        keys.note_stock(pool)
