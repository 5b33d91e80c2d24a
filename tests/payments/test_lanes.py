"""Charges in lanes: many at a time under a gateway's limits, whoever hangs, dies or refuses meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from apps.connectors import lanes as connections
from apps.connectors.models import Connection
from apps.core import due, faults, lane_leases, lane_runner, models
from apps.core.money import Money
from apps.core.tenancy import in_partner
from apps.journal.models import Exchange
from apps.partners.models import Partner
from apps.payments import methods, payments
from apps.payments.models import Payment, PaymentMethod, PaymentState, Refund
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.conftest import backends, eventually
from tests.payments.conftest import Till, agreed, later

MANY = 40


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    connections._kept.clear()


@pytest.fixture
def other_gateway(tmp_path: Path) -> Iterator[Control]:
    """A second YooKassa, in a process of its own."""
    with Simulator("yookassa", state=tmp_path) as simulator:
        control = Control(simulator.url)
        yield control
        control.close()


def run(*tills: Till, seconds: float = 60) -> None:
    """A runner of these gateways' lanes, until nothing is left."""
    runner, find = lane_runner.Runner(), due.lanes_due
    mine = {till.connection.pk for till in tills}
    runner._find_due = lambda besides: [one for one in find(besides) if one in mine]
    runner.run(seconds)


def started(*tills: Till) -> threading.Thread:
    thread = threading.Thread(target=run, args=tills)
    thread.start()
    return thread


def limit(till: Till, in_flight: int) -> None:
    Connection.objects.filter(pk=till.connection.pk).update(in_flight=in_flight)


def charges(till: Till, count: int = MANY, method: PaymentMethod | None = None) -> list[Payment]:
    """So many renewals' charges, written and not sent yet."""
    method = method or till.method()
    with transaction.atomic():
        return [till.charge(method) for _ in range(count)]


def states(till: Till) -> set[str]:
    return set(Payment.objects.values_list("state", flat=True))


class Watch(threading.Thread):
    """Looks all the time at how many charges are under way at a gateway."""

    def __init__(self, till: Till) -> None:
        super().__init__()
        self._control, self._shop = Control(till.gateway.base_url), till.shop
        self.most, self.over = 0, threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            log = self._control.log(operation="create_payment", shop=self._shop, state="in_flight")
            self.most = max(self.most, len(log))
            time.sleep(0.01)
        self._control.close()

    def end(self) -> int:
        self.over.set()
        self.join()
        return self.most


def slow(till: Till, seconds: float, times: int = 10_000) -> None:
    till.gateway.fault(
        "delay", times=times, seconds=seconds, match={"operation": "create_payment", "shop": till.shop}
    )


def test_many_are_charged_at_a_time_and_settled_in_batches(till: Till) -> None:
    made = charges(till)
    slow(till, 0.3)
    began = time.monotonic()
    run(till)
    assert time.monotonic() - began < MANY * 0.3 / 4
    assert states(till) == {PaymentState.SUCCEEDED}
    assert Exchange.objects.filter(method="POST", connection_id=till.connection.pk).count() == MANY + 1
    assert not models.Due.objects.filter(lane=till.connection.pk, kind="payments.send").exists()
    assert all(till.events(one) == ["payments.PaymentSucceeded"] for one in made[:3])
    agreed(till)


def test_declines_lost_answers_and_refusals_come_out_of_a_batch_as_of_one(till: Till) -> None:
    refused, good = till.method(), till.method()
    unwanted = charges(till, 2, refused)
    made = charges(till, 12, good)
    match = {"operation": "create_payment", "shop": till.shop}
    till.gateway.fault(
        "decline", match={"metadata": {"payment": str(made[0].pk)}}, reason="insufficient_funds"
    )
    till.gateway.fault("drop_answer", match=match | {"metadata": {"payment": str(made[1].pk)}})
    till.gateway.fault("http_429", match=match | {"metadata": {"payment": str(made[2].pk)}})
    methods.refuse_method(refused, actor="customer", how="cabinet")
    run(till)
    found = {one.pk: one for one in Payment.objects.all()}
    assert [found[one.pk].decline_reason for one in (made[0], *unwanted)] == [
        "insufficient_funds",
        "permission_revoked",
        "permission_revoked",
    ]
    assert (found[made[1].pk].state, found[made[2].pk].state) == ("unknown", "created")
    assert {found[one.pk].state for one in made[3:]} == {"succeeded"}
    for one in made[1:3]:
        later(one)
    models.Due.objects.filter(kind="payments.sweep").update(due_at="2020-01-01T00:00Z")
    run(till)
    assert states(till) == {"succeeded", "failed"}
    agreed(till)


def test_a_refusal_right_before_the_call_stops_it(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    method = till.method()
    [charge] = charges(till, 1, method)
    hand_out = lane_runner.Runner._hand_out

    def refuse_first(runner: lane_runner.Runner, lane: Any) -> None:
        if lane.ready and PaymentMethod.objects.filter(pk=method.pk, refused_at=None).exists():
            with in_partner(till.partner):
                methods.refuse_method(method, actor="customer", how="cabinet")
        hand_out(runner, lane)

    def of_the_partner(runner: lane_runner.Runner, lane: Any) -> None:
        with in_partner(till.partner):
            refuse_first(runner, lane)

    monkeypatch.setattr(lane_runner.Runner, "_hand_out", of_the_partner)
    run(till)
    charge.refresh_from_db()
    assert (charge.state, charge.decline_reason) == ("failed", "permission_revoked")
    assert charge.claimed_at is not None
    assert charge.gateway_id == ""


def test_one_gateways_outage_slows_no_other(
    till_for: Callable[..., Till], partner: Partner, other_gateway: Control
) -> None:
    """Both gateways are one partner's; the first takes seconds for each charge, all of its slots hang."""
    hung = till_for(partner)
    charges(hung, 20)
    Connection.objects.filter(pk=hung.connection.pk).update(is_enabled=False)
    well = till_for(partner, control=other_gateway)
    limit(hung, 5)
    quick = charges(well, 60)
    Connection.objects.filter(pk=hung.connection.pk).update(is_enabled=True)
    slow(hung, 4.0)
    slow(well, 0.1)
    thread = started(hung, well)
    began = time.monotonic()
    keys = [one.pk for one in quick]
    eventually(
        lambda: not Payment.objects.filter(pk__in=keys).exclude(state="succeeded").exists(), seconds=20
    )
    took = time.monotonic() - began
    assert (
        not Payment.objects.filter(connection=hung.connection, state="succeeded", method__isnull=False)
        .filter(purpose="renewal")
        .exists()
    )
    assert took < 4.0
    hung.gateway.clear()
    thread.join()
    assert states(well) == {"succeeded"}


@pytest.mark.parametrize("is_held", [True, False])
def test_a_gateways_limit_holds_over_two_workers(
    till: Till, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    """By the gateway's own log. Without the lease each worker would use the whole limit for itself."""
    if not is_held:
        monkeypatch.setattr(lane_leases, "_take", _taken_by_both())
    charges(till, 60)
    limit(till, 6)
    slow(till, 0.4)
    watch = Watch(till)
    watch.start()
    threads = [started(till), started(till)]
    for thread in threads:
        thread.join()
    most = watch.end()
    assert (most <= 6) is is_held
    assert most >= 5
    if is_held:
        assert states(till) == {"succeeded"}
        agreed(till)


def test_work_that_needs_no_call_does_not_end_the_run(till: Till) -> None:
    """A whole batch of it, in front of charges that wait: a runner ends when nothing is left, not before."""
    made = charges(till, 20)
    limit(till, 2)
    for one in made[:12]:
        payments.call_off(one.pk)
        models.Due.objects.filter(object_id=one.pk).update(due_at="2020-01-01T00:00Z")
    run(till)
    assert not Payment.objects.filter(state=PaymentState.CREATED).exists()
    assert (
        Payment.objects.filter(state=PaymentState.SUCCEEDED, pk__in=[one.pk for one in made[12:]]).count()
        == 8
    )
    agreed(till)


def _taken_by_both() -> Callable[[list[int], object], list[int]]:
    """What takes lanes as if no other held them; two workers begin at the same moment."""
    begin, begun = threading.Barrier(2), set[int]()

    def take(numbers: list[int], _holder: object) -> list[int]:
        if threading.get_ident() not in begun:
            begun.add(threading.get_ident())
            begin.wait(60)
        return list(numbers)

    return take


@pytest.mark.parametrize(
    "point", ["core.lane-claimed-not-called", "core.lane-called-not-recorded", "core.lane-recorded-not-done"]
)
def test_a_crash_in_a_batch_is_made_good(till: Till, point: str) -> None:
    charges(till, 10)
    with pytest.raises(faults.Crash), faults.crash_at(point):
        run(till)
    connection.set_tenant(till.partner)
    eventually(lambda: not till.gateway.log(operation="create_payment", shop=till.shop, state="in_flight"))
    for _ in range(3):
        for one in Payment.objects.exclude(state="succeeded"):
            later(one)
        models.Due.objects.filter(lane=till.connection.pk).update(due_at="2020-01-01T00:00Z")
        run(till)
    assert states(till) == {"succeeded"}
    agreed(till)


def test_hung_refunds_hold_no_connection_to_the_database(till: Till) -> None:
    payment = till.paid()
    for _ in range(8):
        payments.refund(payment=payment, amount=Money(Decimal("10.00")), reason="-", actor="")
    hung = {"operation": "create_refund", "shop": till.shop}
    till.gateway.fault("hold", times=8, seconds=30, match=hung)
    before = backends()
    thread = started(till)
    eventually(lambda: len(till.gateway.log(**hung, held="True")) == 8)
    # Who hands out and who records, however many wait for the gateway.
    assert backends() - before <= 2
    till.gateway.release()
    thread.join()
    assert set(Refund.objects.values_list("state", flat=True)) == {"succeeded"}
    agreed(till)
