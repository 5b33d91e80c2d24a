"""A sandbox clock meets work that fails: it stops there and says at what; unknown money is asked about at once."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from apps.core import clock, due
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.models import Due
from apps.demo import clockwork
from apps.partners.models import Partner
from apps.payments import payments, refund_calls
from apps.payments.models import Refund
from tests.orders.shop import Shop

KIND = "tests.stubborn"


class Stubborn:
    """Work that fails as often as it is told to."""

    def __init__(self) -> None:
        self.failures, self.done = 10**6, 0

    def __call__(self, object_id: UUID) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("не выходит")
        self.done += 1


@pytest.fixture
def stubborn() -> Iterator[Stubborn]:
    task = Stubborn()
    due.task(KIND)(task)
    yield task
    del due._tasks[KIND]


def plan(partner: Partner, by: timedelta) -> tuple[UUID, datetime]:
    object_id, moment = uuid7(), clock.now() + by
    due.schedule(KIND, object_id, moment)
    return object_id, moment


def test_the_clock_stops_at_what_fails_and_names_it(
    sandbox_partner: Partner, stubborn: Stubborn, move_clock: Callable[[Partner, datetime], None]
) -> None:
    object_id, moment = plan(sandbox_partner, timedelta(days=1))
    with pytest.raises(Refused) as stopped:
        move_clock(sandbox_partner, moment + timedelta(days=9))
    assert stopped.value.code == "clock_stuck"
    for named in (KIND, str(object_id), "не выходит"):
        assert named in str(stopped.value.message)
    sandbox_partner.refresh_from_db()
    assert sandbox_partner.clock_at == moment
    # Once it is repaired, the clock goes on from there.
    stubborn.failures = 0
    Due.objects.filter(object_id=object_id).update(leased_until=None)
    move_clock(sandbox_partner, moment + timedelta(days=9))
    sandbox_partner.refresh_from_db()
    assert (stubborn.done, sandbox_partner.clock_at) == (1, moment + timedelta(days=9))


def test_what_fails_once_is_waited_for(
    sandbox_partner: Partner, stubborn: Stubborn, move_clock: Callable[[Partner, datetime], None]
) -> None:
    stubborn.failures = 1
    _object_id, moment = plan(sandbox_partner, timedelta(days=1))
    move_clock(sandbox_partner, moment)
    assert stubborn.done == 1


def test_a_refund_of_which_nobody_knows_is_asked_about_before_the_clock_moves(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    payment = shop.invoices(subscription)[0].payment()
    assert payment is not None
    shop.gateway.fault("drop_answer", match={"operation": "create_refund", "shop": shop.partner.slug})
    made = refund_calls.send(payments.refund(payment=payment, reason="-", actor="test").pk)
    assert made.state == "unknown"
    clockwork.Settling(shop.partner)()
    assert Refund.objects.get().state == "succeeded"
