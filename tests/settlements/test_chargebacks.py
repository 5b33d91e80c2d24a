"""Chargebacks in a gateway's file of a day: each has its case, opened by the register where nobody had."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.core import clock
from apps.core.models import WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.partners.models import Partner
from apps.payments import disputes, registers
from apps.payments.dispute_models import Dispute
from apps.sandbox.control import Control
from apps.settlements import comparing, reconciliation
from apps.settlements.models import GatewayDay
from tests.payments.conftest import Till, staff, till_for
from tests.payments.gateways import ROBOKASSA, TBANK, GatewayKind
from tests.settlements.files import downloaded

__all__ = ["staff", "till_for"]
SUM = Decimal("399.00")


@pytest.fixture(autouse=True)
def _days_go(partner: Partner) -> Iterator[None]:
    """Days of a gateway go before its partner does, with what staff were told of them."""
    yield
    with in_public():
        WorkItem.objects.filter(partner_id=None, kind__startswith="settlements.").delete()
        GatewayDay.objects.all().delete()


@pytest.mark.parametrize("kind", [TBANK, ROBOKASSA], ids=lambda one: one.name)
def test_each_has_its_case(
    kind: GatewayKind, request: Any, partner: Partner, till_for: Callable[..., Till]
) -> None:
    control: Control = request.getfixturevalue(kind.name)
    till = till_for(partner, kind=kind, control=control)
    known, unknown = till.paid(card=kind.good), till.paid(card=kind.good)
    case = disputes.open(
        payment=known,
        kind="chargeback",
        amount=Money(SUM),
        reason="от банка",
        respond_by=clock.now() + timedelta(days=3),
        gateway_id="bank-1",
    )
    for payment in (known, unknown):
        rows = control.register(shop=till.shop)["payments"]
        mine = next(
            row
            for row in rows
            if str(payment.reference_id) == row.get("order") or payment.gateway_id == row["id"]
        )
        control.charge_back(mine["id"])
    today = comparing.today_of(till.connection)
    wide = timedelta(days=1)
    connector: Any = till.connection.connector_class
    for _twice in range(2):
        content = downloaded(till.connection, today - wide, today + wide)
        entries = registers.read(content, connector.register_dialect)
        assert sum(one.kind == "dispute" for one in entries) == 2
        day = reconciliation.check(till.connection.pk, today, entries=entries, source="файл", actor="t")
        assert list(day.differences.exclude(kind="receipt").values_list("kind", "entry")) == []
        assert (day.refunds, day.own_refunds) == (2 * SUM, 2 * SUM)
        made = Dispute.objects.exclude(pk=case.pk).get()
        assert (made.payment_id, made.amount, made.is_taken) == (unknown.pk, SUM, True)
        told = set(day.lines.filter(entry="dispute").values_list("object_id", flat=True))
        assert told == {case.pk, made.pk}


def test_one_of_nobody_s_payment_differs(
    request: Any, partner: Partner, till_for: Callable[..., Till]
) -> None:
    till = till_for(partner, kind=TBANK, control=request.getfixturevalue("tbank"))
    today = comparing.today_of(till.connection)
    head = "Дата и время операции;Идентификатор платежа;Номер заказа;Тип операции;Сумма операции;Комиссия"
    content = f"{head}\r\n{today:%d.%m.%Y} 12:00:00;999;999;Чарджбэк;-10,00;0\r\n".encode()
    entries = registers.read(content, registers.TBANK)
    day = reconciliation.check(till.connection.pk, today, entries=entries, source="файл")
    assert [(one.kind, one.entry) for one in day.differences.all()] == [("missing_here", "dispute")]
    assert not Dispute.objects.exists()
