"""Receipts that the gateway makes, one contract for all: with the money, once, of its sum; refused ones made anew."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.partners.models import LegalEntity, Partner
from apps.payments import (
    payments,
    receipt_lines,
    receipts,
    receipts_apart,
    refund_calls,
    refunds,
    registering,
)
from apps.payments.cash_register import Agent
from apps.payments.models import Payment, Refund
from apps.payments.receipt_lines import Sold
from apps.payments.receipt_models import Receipt
from apps.policies.fiscal import FiscalRule, ReceiptMethod
from apps.sandbox.control import Control
from tests.payments.conftest import Till, later, look
from tests.payments.gateways import GATEWAYS, YOOKASSA, GatewayKind
from tests.payments.test_gateways import arrive
from tests.payments.test_routing import NOBODY, mend, open_breaker, route
from tests.planted import execute, found
from tests.staff import staff

__all__ = ["staff"]

D = Decimal
PLAIN = [
    Sold("Антивирус на месяц", 3, D("300.00"), D("22"), is_ahead=True),
    Sold("Доставка", 1, D("99.00"), None),
]
AGENT = Agent(
    kind="agent", supplier_name="ООО «Доктор»", supplier_inn="7736050003", supplier_phone="+74951234567"
)
WORDS: dict[str, dict[str, Any]] = {
    "yookassa": {
        "vat": lambda item: item["vat_code"],
        "none": 1,
        "standard": 11,
        "calculated": 12,
        "method": lambda item: item["payment_mode"],
        "items": lambda receipt: receipt["items"],
        "contact": lambda receipt: receipt["customer"].get("phone"),
        "phone": "79161234567",
        "agent": lambda item: (item["agent_type"], item["supplier"]["inn"]),
        "agent_words": ("agent", "7736050003"),
        "replaces": {"payment", "refund", "settlement"},
    },
    "tbank": {
        "vat": lambda item: item["Tax"],
        "none": "none",
        "standard": "vat22",
        "calculated": "vat122",
        "method": lambda item: item["PaymentMethod"],
        "items": lambda receipt: receipt["Items"],
        "contact": lambda receipt: receipt.get("Phone"),
        "phone": "+79161234567",
        "agent": lambda item: (item["AgentData"]["AgentSign"], item["SupplierInfo"]["Inn"]),
        "agent_words": ("another", "7736050003"),
        "replaces": {"settlement"},
    },
    "cloudpayments": {
        "vat": lambda item: item["vat"],
        "none": None,
        "standard": 22,
        "calculated": 122,
        "method": lambda item: {1: "full_prepayment", 4: "full_payment"}[item["method"]],
        "items": lambda receipt: receipt["Items"],
        "contact": lambda receipt: receipt.get("phone"),
        "phone": "+79161234567",
        "agent": lambda item: (item["agentSign"], item["purveyorData"]["inn"]),
        "agent_words": (6, "7736050003"),
        "replaces": {"payment", "refund", "settlement"},
    },
    "robokassa": {
        "vat": lambda item: item["tax"],
        "none": "none",
        "standard": "vat22",
        "calculated": "vat122",
        "method": lambda item: item["payment_method"],
        "items": lambda receipt: receipt["items"],
        # The form carries no phone: Robokassa asks for the contact itself.
        "contact": lambda receipt: None,
        "phone": None,
        "replaces": {"settlement"},
    },
}
"""How each one writes what a line says, and which refused receipts it takes again apart from the money."""


@dataclass
class Books:
    """A till whose gateway makes the receipts."""

    till: Till
    kind: GatewayKind
    rule: FiscalRule
    heard: int = 0

    @property
    def words(self) -> dict[str, Any]:
        return WORDS[self.kind.name]

    def theirs(self, status: str = "done") -> list[dict[str, Any]]:
        return [one for one in self.till.gateway.receipts(self.till.shop) if one["status"] == status]

    def items(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.words["items"](row["receipt"])
        return found

    def fault(self, kind: str, **fields: Any) -> None:
        match = {"shop": self.till.shop, **fields.pop("match", {})}
        self.till.gateway.fault(kind, match=match, **fields)

    def hear(self) -> None:
        """Whatever the gateway has told since is here."""
        told = [hook for hook in self.till.gateway.webhooks() if hook["shop"] == self.till.shop]
        for hook in told[self.heard :]:
            arrive(self.till, hook, self.kind)
        self.heard = len(told)

    def settled(self) -> None:
        """Receipts are asked about until nothing moves any more."""
        for _time in range(12):
            self.hear()
            left = [one for one in Receipt.objects.all() if one.is_open and one.state != "waiting"]
            if not left:
                return
            for one in left:
                later(one)
                registering.sweep(one.pk)
        raise AssertionError([(str(one), one.way, one.state) for one in left])


@pytest.fixture(params=[one for one in GATEWAYS if one.name in WORDS], ids=lambda one: one.name)
def kind(request: pytest.FixtureRequest) -> GatewayKind:
    found: GatewayKind = request.param
    return found


@pytest.fixture
def sold(monkeypatch: pytest.MonkeyPatch) -> list[Sold]:
    """What every payment here was for; a test may change it."""
    lines = list(PLAIN)
    monkeypatch.setattr(receipt_lines, "_composers", [lambda payment: lines])
    return lines


@pytest.fixture
def books(
    kind: GatewayKind,
    request: pytest.FixtureRequest,
    partner: Partner,
    till_for: Callable[..., Till],
    operator: LegalEntity,
    sold: list[Sold],
) -> Iterator[Books]:
    control: Control = request.getfixturevalue(kind.name)
    till = till_for(partner, kind=kind, control=control)
    with in_public():
        FiscalRule.objects.filter(legal_entity=operator).delete()
        rule = FiscalRule.objects.create(
            legal_entity=operator,
            maker="gateway",
            valid_from=clock.today() - timedelta(days=1),
            place="https://armor.example",
            email="kassa@armor.example",
        )
    yield Books(till, kind, rule)
    with in_public():
        FiscalRule.objects.filter(pk=rule.pk).delete()


def give_back(payment: Payment, amount: str | None = None) -> Refund:
    made = refunds.refund(
        payment=payment, amount=Money(D(amount)) if amount else None, reason="возврат", actor="t"
    )
    refund_calls.send(made.pk)
    found: Refund = look(made) if refunds.Refund.objects.get(pk=made.pk).is_open else made
    return found


def test_money_that_comes_and_goes_has_its_receipts_with_it(books: Books) -> None:
    first = books.till.paid(card=books.kind.three_ds)
    assert first.method is not None
    renewal = payments.settle(payments.send(books.till.charge(first.method).pk).pk)
    assert renewal.is_paid
    give_back(renewal, "99.50")
    give_back(renewal)
    books.settled()
    assert sorted((one.cause, one.total, one.way) for one in Receipt.objects.all()) == [
        ("payment", D("399.00"), "inside"),
        ("payment", D("399.00"), "inside"),
        ("refund", D("99.50"), "inside"),
        ("refund", D("299.50"), "inside"),
    ]
    assert not Receipt.objects.exclude(state="registered").exists()
    [sold, *_rest] = books.theirs()
    goods, delivery = books.items(sold)
    words = books.words
    assert (words["vat"](goods), words["vat"](delivery)) == (words["standard"], words["none"])
    assert words["method"](goods) == "full_payment"
    assert words["contact"](sold["receipt"]) == words["phone"]
    assert sum(D(one["total"]) for one in books.theirs() if one["operation"] == "sell") == 2 * D("399.00")
    clean(books)


def clean(books: Books) -> None:
    assert [str(v) for v in audit.of_partners([books.till.partner])] == []
    ours = Receipt.objects.filter(state="registered").exclude(way="own")
    mine = sorted((one.operation, str(one.total), one.way == "after") for one in ours)
    assert sorted((one["operation"], one["total"], one["apart"]) for one in books.theirs()) == mine
    assert sorted(one.fiscal["document"] for one in ours) == sorted(one["fd"] for one in books.theirs())


def test_a_payment_that_moves_takes_its_receipt_to_the_other_gateway(
    books: Books, till_for: Callable[..., Till]
) -> None:
    till = books.till
    spare = till_for(till.partner, kind=books.kind, control=till.gateway)
    there = replace(books, till=spare)
    made = route(till.partner, (till, 100), (spare, 0))
    written = till.start()
    open_breaker(till)
    payment = payments.send(written.pk)
    assert payment.connection == spare.connection
    till.gateway.pay(payment.confirmation_url, card=books.kind.good)
    assert payments.settle(payment.pk).is_paid
    there.settled()
    [receipt] = Receipt.objects.filter(payment=payment, cause="payment")
    assert (receipt.state, receipt.connection) == ("registered", spare.connection)
    assert (len(there.theirs()), books.theirs()) == (1, [])
    with in_public():
        made.delete()


@pytest.mark.parametrize("kind", [YOOKASSA], ids=["yookassa"])
def test_with_a_receipt_frozen_for_one_gateway_it_goes_to_no_other(
    books: Books, till_for: Callable[..., Till]
) -> None:
    till, config = books.till, books.till.connection.config
    spare = till_for(till.partner, kind=books.kind, control=till.gateway)
    made = route(till.partner, (till, 100), (spare, 0))
    mine = Connection.objects.filter(pk=till.connection.pk)
    mine.update(config={**config, "base_url": NOBODY})
    payment = payments.send(till.start().pk)
    assert (payment.state, payment.connection) == ("created", till.connection)
    [frozen] = Receipt.objects.filter(payment=payment)
    open_breaker(till)
    payment = look(payment)
    assert (payment.state, payment.connection) == ("created", till.connection)
    mine.update(config=config)
    mend(till)
    payment = look(payment)
    assert (payment.state, payment.connection) == ("pending", till.connection)
    assert Receipt.objects.get(payment=payment).pk == frozen.pk
    with in_public():
        made.delete()


def test_a_prepayment_is_settled_by_a_receipt_of_its_own(books: Books) -> None:
    FiscalRule.objects.filter(pk=books.rule.pk).update(method=ReceiptMethod.PREPAYMENT)
    payment = books.till.paid()
    give_back(payment, "99.00")
    with transaction.atomic():
        receipts.earned_many({payment.pk: clock.today()})
    books.settled()
    closing = receipts_apart.close(payment.pk)
    assert closing is not None
    assert receipts_apart.close(payment.pk) == closing
    registering.send(closing.pk)
    books.settled()
    closing.refresh_from_db()
    assert (closing.cause, closing.way, closing.total, closing.prepaid) == (
        "settlement",
        "after",
        D("300.00"),
        D("300.00"),
    )
    sold, back, settled = sorted(books.theirs(), key=lambda one: one["number"])
    words = books.words
    goods = books.items(sold)[0]
    assert (words["method"](goods), words["vat"](goods)) == ("full_prepayment", words["calculated"])
    assert back["operation"] == "sell_refund"
    assert settled["apart"]
    goods = books.items(settled)[0]
    assert (words["method"](goods), words["vat"](goods)) == ("full_payment", words["standard"])
    clean(books)


def test_on_whose_behalf_it_is_sold_stands_in_the_receipt(books: Books, sold: list[Sold]) -> None:
    sold[:] = [Sold("Консультация врача", 1, D("399.00"), None, agent=AGENT)]
    payment = books.till.paid()
    made = payment.receipts.get()
    registering.send(made.pk)
    if "agent" not in books.words:
        # It can not say so: nothing wrong is registered, and staff know.
        made.refresh_from_db()
        assert made.state == "failed"
        assert "подключите кассу" in books.till.work(made)
        assert books.theirs() == []
        return
    books.settled()
    [row] = books.theirs()
    [item] = books.items(row)
    assert books.words["agent"](item) == books.words["agent_words"]
    give_back(payment)
    for one in Receipt.objects.filter(state="queued"):
        registering.send(one.pk)
    books.settled()
    assert [one["operation"] for one in books.theirs()] == ["sell", "sell_refund"]
    clean(books)


def test_what_was_declined_has_no_receipt(books: Books) -> None:
    refused = books.till.paid(card=books.kind.poor)
    assert refused.state == "failed"
    assert refused.receipts.get().state == "void"
    assert books.theirs() == []
    clean(books)


def refuse(books: Books, **match: Any) -> None:
    books.fault("refuse_receipt", reason="ФН исчерпан", match=match)


def is_silent(books: Books) -> bool:
    """Whether the gateway tells nothing of a refused receipt that went with the money."""
    return books.kind.name == "cloudpayments"


def refused_payment(books: Books) -> Receipt:
    refuse(books, operation="sell")
    made = books.till.paid().receipts.get()
    if is_silent(books):
        later(made, timedelta(hours=1))
        registering.sweep(made.pk)
        assert "касса не отвечает" in books.till.work(made)
        registering.deny(made.pk, actor="t")
    else:
        books.hear()
        later(made)
        registering.sweep(made.pk)
    made.refresh_from_db()
    return made


def test_a_refused_receipt_is_made_anew_apart_from_the_money(books: Books) -> None:
    made = refused_payment(books)
    if "payment" not in books.words["replaces"]:
        assert made.state == "failed"
        assert "Отдельно от денег шлюз этот чек не пробьёт" in books.till.work(made)
        with pytest.raises(Refused):
            receipts_apart.replace(made.pk, actor="t")
        assert [str(v) for v in audit.of_partners([books.till.partner])] == []
        return
    assert made.state == "corrected"
    again = made.replaced_by
    assert (again.way, again.total, again.state) == ("after", made.total, "queued")
    # Refused there as well, it waits for a person.
    refuse(books, apart=True)
    registering.send(again.pk)
    books.settled()
    again.refresh_from_db()
    assert again.state == "failed"
    assert "ФН исчерпан" in books.till.work(again) or "не пробила" in books.till.work(again)
    third = receipts_apart.replace(again.pk, actor="t")
    registering.send(third.pk)
    books.settled()
    third.refresh_from_db()
    assert third.state == "registered"
    give_back(made.payment)
    books.settled()
    clean(books)


def test_where_the_gateway_can_not_our_register_makes_it(
    books: Books, atol: Control, operator: LegalEntity
) -> None:
    if "payment" in books.words["replaces"]:
        pytest.skip("This gateway takes it again by itself")
    group = f"group-{books.till.shop}"
    with in_public():
        atol.add_register(group, inn=operator.inn)
        register = Connection.objects.create(
            kind="fiscal",
            connector="apps.payments.atol.Atol",
            name=group,
            config={
                "login": group,
                "password": "secret",
                "group": group,
                "base_url": f"{atol.base_url}/possystem/v5",
            },
            legal_entity=operator,
            is_test=books.till.partner.is_sandbox,
        )
        field = "test_connection" if books.till.partner.is_sandbox else "connection"
        FiscalRule.objects.filter(pk=books.rule.pk).update(**{field: register})
    made = refused_payment(books)
    assert made.state == "corrected"
    again = made.replaced_by
    assert (again.way, again.connection_id) == ("own", register.pk)
    registering.send(again.pk)
    books.settled()
    again.refresh_from_db()
    assert again.state == "registered"
    assert len([one for one in atol.register(shop=group)["receipts"] if one["status"] == "done"]) == 1
    give_back(made.payment)
    for one in Receipt.objects.filter(state="queued"):
        registering.send(one.pk)
    books.settled()
    clean(books)


def test_a_receipt_that_takes_its_time_is_waited_for(books: Books) -> None:
    books.fault("wait_receipt")
    made = books.till.paid().receipts.get()
    assert made.state == "sent"
    books.hear()
    later(made)
    assert registering.sweep(made.pk).state == "sent"
    assert books.till.gateway.settle_receipts(books.till.shop) == 1
    books.settled()
    made.refresh_from_db()
    assert made.state == "registered"
    clean(books)


@pytest.mark.crossed("kind")
@pytest.mark.parametrize(
    "point", ["payments.claimed-not-sent", "payments.charged-not-recorded", "payments.recorded"]
)
def test_a_death_at_any_point_of_a_charge_makes_one_receipt(books: Books, point: str) -> None:
    method = books.till.method()
    charge = books.till.charge(method)
    with faults.crash_at(point), pytest.raises(faults.Crash):
        payments.send(charge.pk)
    assert look(charge).is_paid or look(charge).is_paid
    books.settled()
    assert [one["total"] for one in books.theirs()] == ["399.00", "399.00"]
    clean(books)


@pytest.mark.crossed("kind")
@pytest.mark.parametrize("fault", ["drop_answer", "http_500"])
def test_a_charge_whose_answer_is_lost_has_one_receipt(books: Books, fault: str) -> None:
    method = books.till.method()
    for operation in books.kind.charges:
        books.till.gateway.fault(fault, match={"operation": operation, "shop": books.till.shop})
        charge = payments.send(books.till.charge(method).pk)
        assert look(charge).is_paid or look(charge).is_paid
    books.settled()
    assert len(books.theirs()) == 1 + len(books.kind.charges)
    clean(books)


# T-Bank meets the point after which nobody can tell.
@pytest.mark.crossed("kind", shift=-1)
@pytest.mark.parametrize("point", registering.FAULT_POINTS)
def test_a_death_while_a_receipt_goes_apart_makes_one(books: Books, point: str) -> None:
    FiscalRule.objects.filter(pk=books.rule.pk).update(method=ReceiptMethod.PREPAYMENT)
    payment = books.till.paid()
    books.settled()
    closing = receipts_apart.close(payment.pk)
    assert closing is not None
    with faults.crash_at(point):
        try:
            registering.send(closing.pk)
            later(closing)
            registering.sweep(closing.pk)
        except faults.Crash:
            pass
    later(closing)
    if books.kind.name == "tbank" and point == "payments.receipt-claimed-not-sent":
        # Nobody can tell whether it came there: it stays unknown, and a person looks.
        later(closing, timedelta(hours=1))
        assert registering.sweep(closing.pk).state == "unknown"
        registering.deny(closing.pk, actor="t")
        registering.send(receipts_apart.replace(closing.pk, actor="t").pk)
    books.settled()
    assert len([one for one in books.theirs() if one["apart"]]) == 1
    clean(books)


def test_planted_corruptions_are_found(books: Books) -> None:
    give_back(books.till.paid(), "100.00")
    books.settled()
    clean(books)
    corruptions = [
        ("payments.receipt-of-money", "UPDATE payments_receipt SET state = 'void' WHERE cause = 'payment'"),
        ("payments.receipt-of-money", "UPDATE payments_receipt SET state = 'waiting' WHERE cause = 'refund'"),
        ("payments.receipt-of-money", "DELETE FROM payments_receipt"),
        ("payments.receipt-goes-on", "UPDATE payments_receipt SET state = 'waiting'"),
        ("payments.receipt-goes-on", "UPDATE payments_receipt SET state = 'sent'"),
    ]
    assert [pair for pair in corruptions if not found(pair[0], lambda pair=pair: execute(pair[1]))] == []


def test_of_money_that_was_held_the_part_taken_has_the_receipt(books: Books) -> None:
    if not books.till.connection.connector_class.holds:
        pytest.skip("This gateway holds no money")
    payment = books.till.paid(capture=False)
    assert payment.state == "authorized"
    assert books.theirs() == []
    payments.capture(payment.pk, Money(D("250.01")))
    assert payments.settle(payment.pk).is_paid
    books.settled()
    [row] = books.theirs()
    assert row["total"] == "250.01"
    made = Receipt.objects.get()
    assert sum(D(line["amount"]) for line in made.lines) == made.total == D("250.01")
    clean(books)


def test_a_forged_word_about_a_receipt_changes_nothing(books: Books) -> None:
    books.fault("wait_receipt")
    made = books.till.paid().receipts.get()
    books.till.gateway.settle_receipts(books.till.shop)
    about = [one for one in books.till.gateway.webhooks() if one["shop"] == books.till.shop]
    told = [one for one in about if one["event"].lower() == "receipt"]
    if not told:
        pytest.skip("This gateway tells nothing of receipts: they are read")
    forged = {
        **told[-1],
        "body": {**told[-1]["body"], "Amount": 1, "FnNumber": "1", "Url": "https://evil.example"},
    }
    if forged.get("content"):
        forged["content"] = forged["content"].replace("Id=rt-", "Id=evil-")
    assert arrive(books.till, forged, books.kind) in {200, 403}
    made.refresh_from_db()
    assert (made.gateway_id, made.told, made.state) == ("", {}, "sent")
    books.settled()
    clean(books)


def test_the_simulator_refuses_a_receipt_as_the_real_one_would(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receipt whose lines are not the sum: no money moves, the payment says why."""
    method = books.till.method()
    right = receipt_lines.request_of

    def wrong(made: Receipt) -> Any:
        asked = right(made)
        line = replace(asked.lines[0], amount=asked.lines[0].amount + 3, price=asked.lines[0].price + 1)
        return replace(asked, lines=(line, *asked.lines[1:]))

    monkeypatch.setattr(receipt_lines, "request_of", wrong)
    charge = books.till.charge(method)
    payments.send(charge.pk)
    charge = look(charge)
    assert not charge.is_paid
    monkeypatch.setattr(receipt_lines, "request_of", right)
    taken = [one for one in books.till.register()[0] if one["status"] == "succeeded"]
    assert len(taken) == 1


def test_staff_say_that_the_gateway_has_no_such_receipt(books: Books, staff: Any) -> None:
    books.fault("wait_receipt")
    made = books.till.paid().receipts.get()
    client = staff(books.till.partner, "finance")
    page = f"/admin/payments/receipt/{made.pk}/"
    shown = client.get(f"{page}change/").content.decode()
    assert "шлюз, вместе с деньгами" in shown
    assert "иначе чеков станет два" in client.get(f"{page}deny/").content.decode()
    client.post(f"{page}deny/")
    made.refresh_from_db()
    assert made.state == ("corrected" if "payment" in books.words["replaces"] else "failed")
    # What is settled is said so no more.
    client.post(f"{page}deny/")
    assert Receipt.objects.exclude(state="corrected").count() == 1
    asked = client.get(f"{page}replace/").content.decode()
    assert ("подключите кассу" in asked) == (made.state == "failed")
