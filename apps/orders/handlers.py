"""What orders do when money comes, and when a provider is to be asked."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from celery import shared_task

from apps.connectors import breaker
from apps.core import due, events, housekeeping, lanes
from apps.core.models import Event
from apps.core.tenancy import current_partner_id, in_public
from apps.orders import (  # noqa: F401 - three register themselves
    bulk_orders,
    changing,
    deciding,
    evidence,
    fitting,
    former_phone,
    giving_back,
    leaving,
    missing,
    moving,
    provisioning,
    scheduling,
    services,
    steps,
    told,
    watching,
)
from apps.orders.control import alerting, mass, stop_letters, timing
from apps.orders.fulfilment import FULFIL
from apps.orders.placing import START

due.task(FULFIL)(provisioning.fulfil)
due.task(steps.GIVE_BACK)(giving_back.give_back_failed)
due.task(watching.WATCH)(watching.look)
due.task(missing.REMIND)(missing.remind)
due.task(START)(scheduling.start)
due.task(bulk_orders.PLACE)(bulk_orders.place)
due.task(scheduling.EXPIRE)(scheduling.expire)
lanes.steps(FULFIL, provisioning.Provisioning())
breaker.in_order(FULFIL)
due.task(mass.WORK)(mass.work)


@events.on_many("billing.InvoicePaid", ahead=True)
@events.on_many("billing.PeriodGranted", ahead=True)
def fulfil_what_was_paid(paid: Sequence[Event]) -> None:
    services.invoices_paid({one.object_id for one in paid})


@events.on_many("orders.OrderDone")
def take_what_is_held(done: Sequence[Event]) -> None:
    services.orders_done({one.object_id for one in done})


@events.on("billing.InvoiceVoided")
def cancel_what_was_not_paid(event: Event) -> None:
    if event.data.get("order_id"):
        services.expire_order(UUID(event.data["order_id"]))


@events.on("billing.SubscriptionEnded")
def switch_off(event: Event) -> None:
    services.subscription_ended(event.object_id)
    changing.follow(event.object_id)
    leaving.follow(event.object_id)


@events.on("billing.SubscriptionCancelled")
def write_what_is_disconnected(event: Event) -> None:
    if "source" not in event.data:
        # Cancelled already, and off at once now.
        leaving.follow(event.object_id)
        return
    leaving.ordered(
        event.object_id,
        source=event.data["source"],
        asked_at=datetime.fromisoformat(event.data["asked_at"]),
        family=[UUID(one) for one in event.data["family"].split()],
        actor=event.data["actor"],
    )


@events.on("billing.SubscriptionResumed")
def close_what_is_not_disconnected(event: Event) -> None:
    leaving.follow(event.object_id)


@events.on("billing.SubscriptionChanged")
def fit_services(event: Event) -> None:
    fitting.fit(event.object_id)
    changing.follow(event.object_id)


@events.on("billing.ChangeOrdered")
def write_what_is_changed(event: Event) -> None:
    changing.ordered(event.object_id, UUID(event.data["source"]), event.data["actor"])


@events.on("billing.ChangeDropped")
def close_what_is_not_changed(event: Event) -> None:
    changing.follow(event.object_id)


@events.on("orders.ServiceToRest")
@events.on("billing.SubscriptionPaused")
@events.on("billing.SubscriptionSuspended")
def rest_services(event: Event) -> None:
    fitting.rest(event.object_id)


@events.on("billing.SubscriptionResumed")
def wake_services(event: Event) -> None:
    fitting.wake(event.object_id)


@events.on("billing.SubscriptionTransferred")
def hand_services_over(event: Event) -> None:
    fitting.transfer(event.object_id)


@events.on("accounts.PhoneReleased")
@events.on("accounts.PhoneProved")
def look_at_what_the_number_has(event: Event) -> None:
    former_phone.follow(event.object_id)


@events.on("accounts.CustomerErased")
def forget_keys(event: Event) -> None:
    services.customer_erased(event.object_id)


@events.on("billing.BaseMoved")
def take_over_what_was_delivered(event: Event) -> None:
    moving.take_over(event.object_id)


@events.on("billing.DaysGiven")
def extend_for_nothing(event: Event) -> None:
    services.days_given(event.object_id)
    leaving.follow(event.object_id)


@events.on("billing.BaseMovedBack")
def give_back_what_was_moved(event: Event) -> None:
    moving.give_back(event.object_id)


@housekeeping.chore
def drop_files_of_orders() -> None:
    """Looked at and never placed."""
    if current_partner_id() is not None:
        bulk_orders.forget_old()


@housekeeping.chore
def drop_times_of_delivery() -> None:
    """The board shows the last hour."""
    if current_partner_id() is None:
        timing.forget_old()


@shared_task(name="orders.look_at_board")
def look_at_board() -> None:
    """What stands too long is told to those on duty; what was delivered meanwhile is counted for the board."""
    with in_public():
        timing.count()
        stop_letters.look()
        alerting.look()
