"""A simulated month over four gateways: exactly the discrepancies that were planted are found, and no others."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Sum

from apps.connectors import http
from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.models import WorkItem
from apps.core.tenancy import in_public
from apps.ledger.models import Transfer
from apps.partners.models import LegalEntity
from apps.payments.models import Payment, Refund
from apps.payments.receipt_models import Receipt
from apps.policies.fiscal import FiscalRule, ReceiptMaker
from apps.sandbox.control import Control
from apps.settlements.models import (
    BankLine,
    BankStatement,
    GatewayDay,
    GatewayPayout,
    GatewayTerms,
)
from tests.orders.shop import Shop
from tests.payments.gateways import GATEWAYS, YOOKASSA
from tests.payments.test_receipts import rule
from tests.settlements.month import Month, run

__all__ = ["rule"]
D = Decimal
ITSELF = YOOKASSA
"""Whose receipts the gateway makes."""


@pytest.fixture
def month(shop: Shop, operator: LegalEntity, rule: FiscalRule, request: Any) -> Iterator[Month]:
    """Four gateways at their simulators, receipts by ATOL; one's company has no register: the gateway makes them."""
    LegalEntity.objects.filter(pk=operator.pk).update(account=f"4070281040000{shop.partner.pk:07d}")
    operator.refresh_from_db()
    with in_public():
        other = LegalEntity.objects.create(
            name="ООО «Платформа. Сервис»", inn="7707083894", account=f"4070281050000{shop.partner.pk:07d}"
        )
        by_gateway = FiscalRule.objects.create(
            legal_entity=other,
            maker=ReceiptMaker.GATEWAY,
            valid_from=rule.valid_from,
            place=rule.place,
            email=rule.email,
        )
    # Its first evening is still to come, whatever the hour.
    made = Month(shop, {}, clock.today() + timedelta(days=1))
    # Only these four: the shop's own, and those that other tests have left.
    others = Connection.objects.filter(kind="payment", is_test=True, is_enabled=True)
    names = list(others.exclude(partner=shop.partner).values_list("pk", flat=True))
    others.update(is_enabled=False)
    for number, kind in enumerate(GATEWAYS):
        entity = other if kind is ITSELF else operator
        made.open_counter(kind, request.getfixturevalue(kind.name), number, entity)
    yield made
    for one in made.counters.values():
        one.control.set_clock(None)
    with in_public():
        mine = [one.connection.pk for one in made.counters.values()]
        GatewayDay.objects.filter(connection__in=mine).update(payout=None)
        GatewayPayout.objects.filter(connection__in=mine).delete()
        GatewayDay.objects.filter(connection__in=mine).delete()
        GatewayTerms.objects.filter(connection__in=mine).delete()
        BankLine.objects.filter(statement__account__in=made.accounts).delete()
        BankStatement.objects.filter(account__in=made.accounts).delete()
        by_gateway.delete()
        WorkItem.objects.filter(partner_id=None, kind__startswith="settlements.").delete()
        Connection.objects.filter(pk__in=mine).update(is_enabled=False)
        Connection.objects.filter(pk__in=names).update(is_enabled=True)


def plant(month: Month) -> set[tuple[str, str, str, str, str]]:
    """Thirteen, each of its own kind or place; and what is to be said of each."""
    yoo, tbank, cloud, robo = month.counters.values()
    foreign = month.foreign("yookassa", "777.00")
    hidden = month.of("tbank")[4]
    tbank.misreport(hidden.gateway_id, hidden=True)
    other_sum = month.of("cloudpayments")[5]
    transaction = next(
        row["id"]
        for row in cloud.control.register(shop=cloud.shop)["payments"]
        if row["order"] == str(other_sum.reference_id)
    )
    cloud.misreport(transaction, amount="150.00")
    other_fee = month.of("yookassa")[5]
    yoo.misreport(other_fee.gateway_id, fee="9.99")
    unseen = month.page("robokassa", "99.00")
    month.pay("robokassa", unseen)
    in_cabinet = month.of("tbank")[-1]
    tbank.control.cabinet_refund(in_cabinet.gateway_id, "10.00")
    here_only = Refund.objects.filter(payment__connection=cloud.connection).order_by("pk")[0]
    cloud.misreport(here_only.gateway_id, hidden=True)
    twice = month.of("robokassa")[6]
    robo.misreport(twice.gateway_id, copies=2)
    less_back = Refund.objects.filter(payment__connection=yoo.connection).order_by("pk")[0]
    yoo.misreport(less_back.gateway_id, amount="40.00")
    unreceipted = month.of("robokassa")[0]
    Receipt.objects.filter(payment=unreceipted, cause="payment").delete()
    # That the gateway makes them does not mean that there are any.
    unmade = month.of("yookassa")[2]
    Receipt.objects.filter(payment=unmade, cause="payment").delete()
    short, missing = _day(month.of("tbank")[2]), _day(month.of("cloudpayments")[3])
    month.statement(short={("tbank", short): "1.23"}, missing={("cloudpayments", missing)})
    number = BankLine.objects.get(
        statement__account=tbank.account,
        counterparty__isnull=False,
        pk__in=[
            one.pk
            for one in BankLine.objects.all()
            if f"за {short:%d.%m.%Y}" in one.purpose and one.counterparty["inn"] == tbank.inn
        ],
    ).number
    last = str(month.last)
    return {
        ("yookassa", last, "missing_here", "payment", foreign),
        ("tbank", str(_day(hidden)), "missing_there", "payment", hidden.gateway_id),
        ("cloudpayments", str(_day(other_sum)), "amount", "payment", transaction),
        ("yookassa", str(_day(other_fee)), "fee", "payment", other_fee.gateway_id),
        ("robokassa", last, "state", "payment", unseen.gateway_id or str(unseen.reference_id)),
        ("tbank", last, "missing_here", "refund", in_cabinet.gateway_id),
        ("cloudpayments", str(_day(here_only)), "missing_there", "refund", here_only.gateway_id),
        ("robokassa", str(_day(twice)), "duplicate", "payment", f"{twice.gateway_id} (2)"),
        ("yookassa", str(_day(less_back)), "amount", "refund", less_back.gateway_id),
        ("robokassa", str(_day(unreceipted)), "receipt", "payment", unreceipted.gateway_id),
        ("yookassa", str(_day(unmade)), "receipt", "payment", unmade.gateway_id),
        ("tbank", str(short), "payout_amount", "payout", number),
        ("cloudpayments", str(missing), "payout_absent", "payout", str(missing)),
    }


def _day(row: Payment | Refund) -> date:
    assert row.settled_at is not None
    return row.settled_at.astimezone(clock.zone()).date()


def _owed(account: str, month: Month) -> Decimal:
    """What stands on an account of these gateways."""
    mine = Transfer.objects.filter(connection__in=[one.connection.pk for one in month.counters.values()])
    came = mine.filter(debit=account).aggregate(total=Sum("amount"))["total"] or D(0)
    return came - (mine.filter(credit=account).aggregate(total=Sum("amount"))["total"] or D(0))


def test_a_month_agrees_and_exactly_what_was_planted_in_it_is_found(
    month: Month, atol: Control, rule: FiscalRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(month)
    # The month is lived once: what the books say of it with nothing planted is taken back. Registers are only read.
    with transaction.atomic(), monkeypatch.context() as patch:
        patch.setattr(http, "database", SimpleNamespace(in_atomic_block=False))
        _agrees(month, atol, rule)
        transaction.set_rollback(True)
    _finds_what_is_planted(month, atol, rule)


def _agrees(month: Month, atol: Control, rule: FiscalRule) -> None:
    """Where nothing was planted, nothing is found, and all money is where it should be."""
    month.statement(short={}, missing=set())
    assert month.reconcile() == set()
    _receipts_equal_payments(month, atol, rule)
    paid = month.gateway_days().exclude(payout=None)
    lines = BankLine.objects.filter(statement__account__in=month.accounts)
    came = lines.aggregate(total=Sum("amount"))["total"]
    assert paid.count() >= 16
    assert _owed("bank", month) == came == sum(one.net.amount for one in paid)
    # What the gateways have not paid out yet, less the fee that their registers will tell, is all that is left.
    left = list(month.gateway_days().filter(payout=None))
    files = ("tbank", "robokassa")
    fees = sum(one.fees for one in left if one.connection.name.startswith(files))
    assert _owed("clearing", month) == sum(one.net.amount for one in left) + fees
    assert [str(one) for one in audit.run([month.shop.partner.pk])] == []


def _finds_what_is_planted(month: Month, atol: Control, rule: FiscalRule) -> None:
    assert not month.gateway_days().exists()
    planted = plant(month)
    assert len(planted) == 13
    assert month.reconcile() == planted
    # Found once more, by a file and by the API, it is still the same.
    with in_public():
        month.check("tbank")
        month.check(
            "yookassa", days=[date.fromisoformat(day) for name, day, *_ in planted if name == "yookassa"]
        )
    assert month.reconcile(only=()) == planted
    assert month.differences().count() == 13
    _receipts_equal_payments(month, atol, rule)
    assert month.waiting() == set(month.differences().values_list("day_id", flat=True))


def _receipts_equal_payments(month: Month, atol: Control, rule: FiscalRule) -> None:
    """What the cash register has, and the gateway that makes its own, is what came and went back here."""
    assert rule.test_connection is not None
    itself = month.counters[ITSELF.name]
    registered = {
        "register": [
            (one["operation"], D(str(one["receipt"]["total"])))
            for one in atol.register(shop=rule.test_connection.name)["receipts"]
            if one["status"] == "done"
        ],
        "itself": [
            (one["operation"], D(str(one["total"])))
            for one in itself.control.receipts(itself.shop)
            if one["status"] == "done"
        ],
    }
    names = {"register": [name for name in month.counters if name != ITSELF.name], "itself": [ITSELF.name]}
    for who, rows in registered.items():
        made = {way: sum(total for one, total in rows if one == way) for way in ("sell", "sell_refund")}
        ours = [one for name in names[who] for one in month.of(name, state__in=["succeeded", "refunded"])]
        back = Refund.objects.filter(payment__in=ours, state="succeeded")
        assert made["sell"] == sum(one.amount for one in ours) > 0, who
        assert made["sell_refund"] == sum(one.amount for one in back) > 0, who
