"""Each rule of payments finds the corruption that it is there for, and a healthy till breaks none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.accounts.models import Customer
from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.models import Due
from apps.core.money import Money
from apps.payments import payments, refunds
from apps.payments.models import Payment, PaymentMethod, Refund
from tests.payments.conftest import Till, agreed, later


@dataclass
class Books:
    """Healthy rows to be corrupted: two first payments (the first partly refunded), a charge, one that waits."""

    till: Till
    paid: Payment
    other: Payment
    charge: Payment
    waiting: Payment


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
    PaymentMethod.objects.filter(pk=books.charge.method_id).update(is_active=False, refused_at=moment)


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
]


@contextmanager
def taken_back() -> Iterator[None]:
    """Whatever is corrupted within is healthy again afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_each_rule_finds_its_corruption(till: Till) -> None:
    paid, other = till.paid(), till.paid()
    assert paid.method
    charge = payments.send(till.charge(paid.method).pk)
    books = Books(till, paid, other, charge, till.pending())
    part = payments.refund(payment=paid, amount=Money(Decimal("20.00")), reason="-", actor="")
    refunds.send(part.pk)
    agreed(till)
    for rule, corrupt in CORRUPTIONS:
        with taken_back():
            corrupt(books)
            assert list(audit.RULES[rule].check()), f"{rule} did not find {corrupt}"
    ours = {name for name in audit.RULES if name.startswith("payments.")}
    assert ours == {rule for rule, _corrupt in CORRUPTIONS}
    agreed(till)
