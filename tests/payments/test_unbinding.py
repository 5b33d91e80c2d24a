"""A card that its customer took back is removed at T-Bank too: whatever fails on the way, and by nobody's hand."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.core import audit, clock, due, lane_runner
from apps.core.models import Due, WorkItem
from apps.journal.models import Entry
from apps.partners.models import Partner
from apps.payments import methods, payments, unbinding
from apps.payments.models import PaymentMethod
from apps.sandbox.control import Control
from tests.payments.conftest import Till
from tests.payments.gateways import TBANK
from tests.planted import execute, found

# One corruption for each of the auditor's rules here: (rule, SQL).
CORRUPTIONS = [
    ("payments.refused-is-unbound", "DELETE FROM public.core_due WHERE kind = 'payments.unbind'"),
]


@pytest.fixture
def till(partner: Partner, till_for: Any, tbank: Control) -> Till:
    made: Till = till_for(partner, kind=TBANK, control=tbank)
    return made


def refused(till: Till) -> PaymentMethod:
    return methods.refuse_method(till.method(), actor="customer", how="cabinet")


def planned(method: PaymentMethod) -> Due | None:
    return Due.objects.filter(kind=unbinding.UNBIND, object_id=method.pk).first()


def removed(till: Till) -> list[bool]:
    """Whether each call that removes a card was done."""
    calls = [one for one in till.gateway.log(shop=till.shop) if one["operation"] == "RemoveCard"]
    return [bool(one.get("answer", {}).get("Success")) for one in calls]


def test_a_card_that_was_taken_back_is_removed_at_the_bank(till: Till, deliver: Callable[[], int]) -> None:
    kept, method = till.method(), refused(till)
    waiting = planned(method)
    assert waiting is not None
    assert waiting.lane == till.connection.pk
    deliver()
    method.refresh_from_db()
    assert method.unbound_at is not None
    assert (removed(till), planned(method)) == ([True], None)
    assert Entry.objects.filter(action="payments.method_unbound", object_id=method.pk).count() == 1
    # Said again it is done already, and the customer's other card is charged on.
    methods.refuse_method(method, actor="customer", how="cabinet")
    unbinding.unbind(method.pk)
    deliver()
    assert removed(till) == [True]
    assert payments.settle(payments.send(till.charge(kept).pk).pk).is_paid
    assert list(audit.run([till.partner.pk])) == []


@pytest.mark.parametrize("operation", ["GetCardList", "RemoveCard"])
@pytest.mark.parametrize("fault", ["drop_answer", "http_500"])
def test_an_answer_that_was_lost_is_asked_for_again(till: Till, operation: str, fault: str) -> None:
    method = refused(till)
    till.gateway.fault(fault, match={"operation": operation, "shop": till.shop})
    unbinding.unbind(method.pk)
    method.refresh_from_db()
    again = planned(method)
    assert again is not None
    assert (method.unbound_at, again.due_at > clock.wall()) == (None, True)
    assert not WorkItem.objects.filter(object_id=method.pk).exists()
    unbinding.unbind(method.pk)
    method.refresh_from_db()
    assert method.unbound_at is not None
    # Where the bank had done it, it is not asked for a card that is gone.
    assert removed(till).count(True) == 1


def test_staff_hear_where_the_bank_does_not_forget(till: Till) -> None:
    method = refused(till)
    PaymentMethod.objects.filter(pk=method.pk).update(
        unbinding_since=clock.wall() - unbinding.LATE - timedelta(minutes=1)
    )
    till.gateway.fault("http_500", match={"operation": "GetCardList", "shop": till.shop})
    unbinding.unbind(method.pk)
    item = WorkItem.objects.get(object_id=method.pk)
    assert "не отвязал" in item.reason
    again = planned(method)
    assert again is not None
    assert timedelta(minutes=50) < again.due_at - clock.wall() <= unbinding.LATEST
    assert list(audit.run([till.partner.pk])) == []
    unbinding.unbind(method.pk)
    assert not WorkItem.objects.filter(object_id=method.pk).exists()


def test_a_refusal_of_the_bank_is_told_to_staff_at_once(till: Till) -> None:
    method = refused(till)
    config = till.connection.config
    till.connection.config = {**config, "password": "wrong"}
    till.connection.save(update_fields=["config"])
    unbinding.unbind(method.pk)
    assert "не отвязал" in WorkItem.objects.get(object_id=method.pk).reason
    till.connection.config = config
    till.connection.save(update_fields=["config"])
    unbinding.unbind(method.pk)
    assert removed(till) == [True]


def test_nothing_is_planned_where_the_gateway_cannot(
    till: Till, partner: Partner, till_for: Any, deliver: Callable[[], int]
) -> None:
    pending = till.pending(instrument="sbp")
    till.gateway.pay_sbp(pending.confirmation_url)
    account = payments.settle(pending.pk).method
    elsewhere = till.method()
    PaymentMethod.objects.filter(pk=elsewhere.pk).update(connection=till_for(partner).connection)
    with transaction.atomic():
        [other] = methods.take_over([methods.Taken(till.customer.pk, till.connection.pk, "77", "•• 1111")])
    assert account is not None
    for method in (account, elsewhere, PaymentMethod.objects.get(pk=other)):
        assert methods.refuse_method(method, actor="t").unbinding_since is None
        assert planned(method) is None
    deliver()
    assert removed(till) == []


def test_in_its_lane_many_are_removed_side_by_side(till: Till) -> None:
    mine = [refused(till).pk for _number in range(4)]
    runner = lane_runner.Runner()
    find = due.lanes_due
    runner._find_due = lambda besides: [one for one in find(besides) if one == till.connection.pk]
    runner.run()
    assert PaymentMethod.objects.filter(pk__in=mine, unbound_at__isnull=False).count() == len(mine)
    assert removed(till) == [True] * len(mine)
    assert not Due.objects.filter(kind=unbinding.UNBIND, object_id__in=mine).exists()
    assert list(audit.run([till.partner.pk])) == []


def test_an_erased_customers_card_is_removed_as_well(till: Till, deliver: Callable[[], int]) -> None:
    method = till.method()
    with transaction.atomic():
        methods.erase(till.customer.pk)
    deliver()
    method.refresh_from_db()
    assert (method.token, method.unbound_at is not None, removed(till)) == ("", True, [True])


def test_the_auditor_finds_one_that_nobody_would_tell_of(till: Till) -> None:
    refused(till)
    for rule, sql in CORRUPTIONS:
        assert found(rule, lambda sql=sql: execute(sql)), sql  # type: ignore[misc]
