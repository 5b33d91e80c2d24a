"""Receipts that the gateway makes, one contract for all: with the money, once, of its sum; refused ones made anew."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.core import audit, clock
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.partners.models import LegalEntity, Partner
from apps.payments import payments, receipts, refunds, registering
from apps.payments.cash_register import Agent
from apps.payments.models import Payment, Refund
from apps.payments.receipt_models import Receipt
from apps.payments.receipts import Sold
from apps.policies.fiscal import FiscalRule
from apps.sandbox.control import Control
from tests.payments.conftest import Till, later, look
from tests.payments.gateways import GATEWAYS, GatewayKind
from tests.payments.test_gateways import arrive

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
}
"""How each one writes what a line says, and which refused receipts it takes again apart from the money."""


@dataclass
class Books:
    """A till whose gateway makes the receipts."""

    till: Till
    kind: GatewayKind
    rule: FiscalRule

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
        """Whatever the gateway has told so far is here."""
        for hook in self.till.gateway.webhooks():
            if hook["shop"] == self.till.shop:
                arrive(self.till, hook, self.kind)

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

    def agree(self) -> None:
        """The auditor finds nothing; what the register made is what we say, once each, and all the money."""
        assert [
            str(v) for v in audit.run([self.till.partner.pk]) if v.partner == self.till.partner.slug
        ] == []
        ours = Receipt.objects.filter(state="registered").exclude(way="own")
        mine = sorted((one.operation, str(one.total), one.way == "after") for one in ours)
        assert sorted((one["operation"], one["total"], one["apart"]) for one in self.theirs()) == mine
        for row in self.theirs():
            self.adds_up(row)

    def adds_up(self, row: dict[str, Any]) -> None:
        made = Receipt.objects.get(
            total=D(row["total"]),
            operation=row["operation"],
            state="registered",
            way="after" if row["apart"] else "inside",
        )
        assert made.fiscal["document"] == row["fd"]
        assert made.fiscal["attribute"] == row["attribute"]


@pytest.fixture(params=[one for one in GATEWAYS if one.name in WORDS], ids=lambda one: one.name)
def kind(request: pytest.FixtureRequest) -> GatewayKind:
    found: GatewayKind = request.param
    return found


@pytest.fixture
def sold(monkeypatch: pytest.MonkeyPatch) -> list[Sold]:
    """What every payment here was for; a test may change it."""
    lines = list(PLAIN)
    monkeypatch.setattr(receipts, "_composers", [lambda payment: lines])
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
    refunds.send(made.pk)
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
    assert [str(v) for v in audit.run([books.till.partner.pk]) if v.partner == books.till.partner.slug] == []
    ours = Receipt.objects.filter(state="registered").exclude(way="own")
    mine = sorted((one.operation, str(one.total), one.way == "after") for one in ours)
    assert sorted((one["operation"], one["total"], one["apart"]) for one in books.theirs()) == mine
    assert sorted(one.fiscal["document"] for one in ours) == sorted(one["fd"] for one in books.theirs())
