"""A gateway's day beside ours: each difference is found, no other, explained by a person, and then locked."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.connectors.models import GatewayReference
from apps.core import clock
from apps.core.errors import Refused
from apps.core.models import WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.partners.models import LegalEntity, Partner
from apps.payments import receipt_lines, refund_calls, refunds
from apps.payments.models import Payment, Refund
from apps.payments.receipt_lines import Sold
from apps.payments.receipt_models import Receipt
from apps.policies.fiscal import FiscalRule, ReceiptMaker
from apps.settlements import reconciliation
from apps.settlements.models import Difference, GatewayDay, GatewayTerms
from tests.payments.conftest import Till

D = Decimal


@pytest.fixture
def counter(partner: Partner, till_for: Callable[..., Till]) -> Iterator[Till]:
    """A till on a connection of the partner's own; its days go before its partner does."""
    yield till_for(partner)
    with in_public():
        WorkItem.objects.filter(kind=reconciliation.KIND).delete()
        GatewayDay.objects.all().delete()
        GatewayTerms.objects.all().delete()


def check(till: Till) -> GatewayDay:
    with in_public():
        day: date = (
            clock.wall().astimezone(reconciliation.bounds(till.connection, clock.today())[0].tzinfo).date()
        )
        return reconciliation.check(till.connection.pk, day, actor="finance")


def told(row: GatewayDay) -> set[tuple[str, str, str]]:
    return {(one.kind, one.entry, one.gateway_id) for one in Difference.objects.filter(day=row)}


def given_back(till: Till, payment: Payment, amount: str) -> Refund:
    made = refunds.refund(payment=payment, amount=Money(D(amount)), reason="часть", actor="t")
    return refund_calls.send(made.pk)


def code(act: Any) -> str:
    with pytest.raises(Refused) as refused, in_public():
        act()
    return refused.value.code


def test_a_day_on_which_all_agrees_is_closed_by_one_tick(counter: Till) -> None:
    one, _other = counter.paid(), counter.paid()
    given_back(counter, one, "99.00")
    row = check(counter)
    assert told(row) == set()
    assert (row.matched, row.payments, row.refunds) == (3, D("798.00"), D("99.00"))
    assert row.fees == sum(payment.fee for payment in Payment.objects.all())
    with in_public():
        reconciliation.close(row.pk, actor="finance")
    assert code(lambda: check(counter)) == "day_closed"
    assert code(lambda: reconciliation.close(row.pk, actor="finance")) == "day_closed"


def test_every_kind_of_difference_is_found_and_no_other(counter: Till) -> None:
    fine, amount, fee, absent, unsettled = (counter.paid() for _number in range(5))
    back = given_back(counter, fine, "10.00")
    Payment.objects.filter(pk=amount.pk).update(amount=D("398.00"))
    Payment.objects.filter(pk=fee.pk).update(fee=D("0.01"))
    Payment.objects.filter(pk=absent.pk).update(gateway_id="nowhere")
    GatewayReference.objects.filter(pk=absent.reference_id).update(gateway_id="nowhere")
    Payment.objects.filter(pk=unsettled.pk).update(state="unknown")
    cabinet = counter.gateway.cabinet_refund(fine.gateway_id, "5.00")
    row = check(counter)
    assert told(row) == {
        ("amount", "payment", amount.gateway_id),
        ("fee", "payment", fee.gateway_id),
        ("missing_there", "payment", "nowhere"),
        ("missing_here", "payment", absent.gateway_id),
        ("state", "payment", unsettled.gateway_id),
        ("missing_here", "refund", cabinet["id"]),
    }
    assert row.matched == 2
    assert back.state == "succeeded"
    assert WorkItem.objects.filter(kind=reconciliation.KIND, object_id=row.pk, partner_id=None).exists()


@pytest.mark.parametrize("gone", [None, "payment", "refund"])
def test_receipts_that_the_gateway_makes_are_missed_too(
    counter: Till, operator: LegalEntity, monkeypatch: pytest.MonkeyPatch, gone: str | None
) -> None:
    sold = [Sold("Антивирус на месяц", 1, D("399.00"), D("22"), is_ahead=True)]
    monkeypatch.setattr(receipt_lines, "_composers", [lambda payment: sold])
    with in_public():
        FiscalRule.objects.filter(legal_entity=operator).delete()
        rule = FiscalRule.objects.create(
            legal_entity=operator,
            maker=ReceiptMaker.GATEWAY,
            valid_from=clock.today() - timedelta(days=1),
            place="https://armor.example",
            email="kassa@armor.example",
        )
    try:
        payment = counter.paid()
        back = given_back(counter, payment, "99.00")
        assert set(Receipt.objects.values_list("cause", "way")) == {
            ("payment", "inside"),
            ("refund", "inside"),
        }
        Receipt.objects.filter(cause=gone).delete()
        numbers = {"payment": payment.gateway_id, "refund": back.gateway_id}
        assert told(check(counter)) == ({("receipt", gone, numbers[gone])} if gone else set())
    finally:
        with in_public():
            rule.delete()


def test_what_is_explained_stays_explained_and_the_day_may_be_closed(counter: Till) -> None:
    payment = counter.paid()
    Payment.objects.filter(pk=payment.pk).update(fee=D("0.01"))
    row = check(counter)
    [one] = Difference.objects.filter(day=row)
    assert code(lambda: reconciliation.close(row.pk, actor="finance")) == "differs"
    assert code(lambda: reconciliation.explain(one.pk, note=" ", actor="finance")) == "no_reason"
    with in_public():
        reconciliation.explain(one.pk, note="Акция банка", actor="finance")
    row = check(counter)
    [one] = Difference.objects.filter(day=row)
    assert (one.note, one.explained_by) == ("Акция банка", "finance")
    assert not WorkItem.objects.filter(kind=reconciliation.KIND, object_id=row.pk).exists()
    with in_public():
        reconciliation.close(row.pk, actor="finance")
    assert code(lambda: reconciliation.explain(one.pk, note="позже", actor="finance")) == "day_closed"


def test_finance_checks_explains_and_closes_in_the_console(counter: Till, staff: Any) -> None:
    payment = counter.paid()
    Payment.objects.filter(pk=payment.pk).update(fee=D("0.01"))
    client = staff(None, "finance")
    with in_public():
        start, _end = reconciliation.bounds(counter.connection, clock.today())
        day = clock.wall().astimezone(start.tzinfo).date()
        posted = {"connection": counter.connection.pk, "day": f"{day:%d.%m.%Y}"}
        page = client.post("/admin/settlements/gatewayday/add/", posted, follow=True)
        assert payment.gateway_id in page.content.decode()
        row = GatewayDay.objects.get(connection=counter.connection)
        base = f"/admin/settlements/gatewayday/{row.pk}"
        assert "Осталось объяснить" in client.post(f"{base}/close/", follow=True).content.decode()
        one = Difference.objects.get(day=row)
        client.post(f"/admin/settlements/difference/{one.pk}/explain/", {"note": "Акция банка"})
        assert "День закрыт" in client.post(f"{base}/close/", follow=True).content.decode()
        assert staff(None, "support").get("/admin/settlements/gatewayday/").status_code == 403
