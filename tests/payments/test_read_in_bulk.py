"""Models read in bulk are what Django would have read: values, what was left out, what is deciphered, locks."""

from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet

from apps.core import bulk
from apps.payments.models import PaymentMethod
from tests.accounts.at_once import at_once
from tests.payments.conftest import Till


@pytest.fixture
def methods(till: Till) -> QuerySet[PaymentMethod]:
    """Two saved cards, their tokens encrypted."""
    for _number in range(2):
        till.method("5555555555554477")
    return PaymentMethod.objects.order_by("pk")


def values(one: Any) -> dict[str, Any]:
    return {field.attname: getattr(one, field.attname) for field in one._meta.concrete_fields}


@pytest.mark.parametrize(
    "which",
    [
        lambda rows: rows,
        lambda rows: rows.defer("title", "token"),
        lambda rows: rows.only("customer", "connection", "is_active"),
    ],
)
def test_they_are_what_django_reads(methods: QuerySet[PaymentMethod], which: Any) -> None:
    ours, theirs = bulk.instances(which(methods.all())), list(which(methods.all()))
    assert len(ours) == 2
    assert ours == theirs
    assert [one.get_deferred_fields() for one in ours] == [one.get_deferred_fields() for one in theirs]
    assert [values(one) for one in ours] == [values(one) for one in theirs]
    assert [one.customer for one in ours] == [one.customer for one in theirs]


def test_what_is_saved_is_the_row_that_was_read(methods: QuerySet[PaymentMethod]) -> None:
    [one, _other] = bulk.instances(methods.defer("token"))
    one.title = "•• 0000"
    one.save()
    assert list(methods.values_list("title", flat=True)) == ["•• 0000", "•• 4477"]
    assert PaymentMethod.objects.get(pk=one.pk).token


def test_they_are_locked_as_asked(methods: QuerySet[PaymentMethod], till: Till) -> None:
    def take() -> list[PaymentMethod]:
        with transaction.atomic():
            return bulk.instances(methods.select_for_update(nowait=True))

    with transaction.atomic():
        bulk.instances(methods.select_for_update(no_key=True))
        with pytest.raises(OperationalError):
            at_once(connection.tenant, [take])
    assert len(take()) == 2
