"""Each rule of payments finds the corruption that it is there for, and a healthy till breaks none."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from apps.accounts.models import Customer
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.ids import uuid7
from apps.core.models import Due, SearchKey
from apps.core.money import Money
from apps.ledger.models import Transfer
from apps.payments import payments, refund_calls
from apps.payments.models import Payment, PaymentMethod, Refund
from tests.payments.conftest import Till, agreed, later
from tests.planted import found


@dataclass
class Books:
    """Healthy rows to be corrupted: two first payments (the first partly refunded), a charge, one that waits."""

    till: Till
    paid: Payment
    other: Payment
    charge: Payment
    waiting: Payment
    part: Refund


def change(payment: Payment, **columns: Any) -> None:
    Payment.objects.filter(pk=payment.pk).update(**columns)


def unposted(books: Books) -> None:
    change(books.waiting, state="succeeded", settled_at=clock.now())


def posted_and_failed(books: Books) -> None:
    change(books.other, state="failed")


def refund_unposted(books: Books) -> None:
    now = clock.now()
    Refund.objects.create(payment=books.other, amount=1, reason="-", state="succeeded", created_at=now)


def refunded_without_money(books: Books) -> None:
    Refund.objects.create(payment=books.waiting, amount=1, reason="-", created_at=clock.now())


def refused_before(books: Books) -> None:
    moment = books.charge.created_at - timedelta(seconds=1)
    PaymentMethod.objects.filter(pk=books.charge.method_id).update(
        is_active=False, refused_at=moment, refusal_recorded_at=clock.wall(), refused_how="bank"
    )


def untold(books: Books) -> None:
    change(books.waiting, state="unknown")
    later(books.waiting, timedelta(hours=25))


def erased_and_kept(books: Books) -> None:
    Customer.objects.filter(pk=books.till.customer.pk).update(erased_at=clock.now())


CORRUPTIONS: list[tuple[str, Callable[[Books], Any]]] = [
    ("payments.refunds-within-payment", lambda books: change(books.paid, amount=Decimal("10.00"))),
    ("payments.refunds-within-payment", refunded_without_money),
    ("payments.payment-posted", unposted),
    ("payments.payment-posted", posted_and_failed),
    ("payments.refund-posted", refund_unposted),
    ("payments.refund-posted", lambda books: Refund.objects.update(state="failed")),
    (
        "payments.partner-money-apart",
        lambda books: Connection.objects.filter(pk=books.paid.connection_id).update(
            partner=books.till.partner
        ),
    ),
    ("payments.refused-method-rests", refused_before),
    ("payments.erased-keep-no-method", erased_and_kept),
    ("payments.unwanted-returned", lambda books: change(books.paid, state="refunded")),
    ("payments.open-is-watched", lambda books: Due.objects.filter(object_id=books.waiting.pk).delete()),
    ("payments.open-is-watched", untold),
    (
        "payments.reference-leads-back",
        lambda books: change(books.paid, reference=books.other.reference_id),
    ),
    ("payments.gateway-payment-once", lambda books: change(books.other, gateway_id=books.paid.gateway_id)),
    ("payments.posted-as-paid", lambda books: posted(books.paid).update(product_id=1)),
    ("payments.posted-as-paid", lambda books: posted(books.paid).update(credit="revenue")),
    ("payments.posted-as-paid", lambda books: posted(books.paid, "fee").update(amount=Decimal("0.01"))),
    ("payments.posted-as-paid", lambda books: posted(books.paid, "fee").update(posting="other")),
    ("payments.posted-as-paid", lambda books: change(books.paid, fee=Decimal("0.01"))),
    ("payments.posted-as-paid", lambda books: posted(books.part, "refunded").update(customer_id=uuid7())),
    ("payments.findable", lambda books: SearchKey.objects.filter(object_id=books.paid.pk).delete()),
    ("payments.findable", lambda books: SearchKey.objects.filter(object_id=books.part.pk).delete()),
]


def posted(row: Payment | Refund, posting: str = "paid") -> QuerySet[Transfer]:
    return Transfer.objects.filter(document_id=row.pk, posting=posting)


def test_each_rule_finds_its_corruption(till: Till) -> None:
    paid, other = till.paid(), till.paid()
    assert paid.method
    charge = payments.send(till.charge(paid.method).pk)
    part = payments.refund(payment=paid, amount=Money(Decimal("20.00")), reason="-", actor="")
    refund_calls.send(part.pk)
    books = Books(till, paid, other, charge, till.pending(), part)
    agreed(till)
    for rule, corrupt in CORRUPTIONS:
        assert found(rule, lambda corrupt=corrupt: corrupt(books)), f"{rule} did not find {corrupt}"
    agreed(till)
