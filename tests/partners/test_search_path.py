"""The search path is set once, not before each query, and still never another partner's, whatever is rolled back."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django_tenants.postgresql_backend import base
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.models import Customer
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import Partner
from tests.conftest import make_partner

Steps = list[tuple[Any, ...]]


class Undone(Exception):
    """Takes a transaction back."""


looked = st.sampled_from(["ask", "ask", "server-side", "close"]).map(lambda kind: (kind,))
lives: st.SearchStrategy[Steps] = st.recursive(
    st.lists(looked, max_size=3),
    lambda steps: st.lists(
        st.one_of(
            looked,
            st.tuples(st.just("in"), st.integers(0, 2), steps),
            st.tuples(st.just("atomic"), st.sampled_from(["kept", "undone", "failed"]), steps),
        ),
        max_size=4,
    ),
    max_leaves=12,
)


def live(steps: Steps, partners: list[Partner]) -> None:
    """Goes through steps, and looks with each query whether it reached whom it should."""
    for kind, *rest in steps:
        if kind == "ask":
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_schema()")
                reached = cursor.fetchone()[0]
            assert reached == connection.schema_name
        elif kind == "server-side" and connection.tenant in partners:
            assert list(Customer.objects.iterator()) == []
        elif kind == "close" and not connection.in_atomic_block:
            connection.close()
        elif kind == "in":
            number, inner = rest
            with in_partner(partners[number]) if number < len(partners) else in_public():
                live(inner, partners)
        elif kind == "atomic":
            attempt(*rest, partners)
    assert_reached()


def assert_reached() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        assert cursor.fetchone()[0] == connection.schema_name


def attempt(end: str, steps: Steps, partners: list[Partner]) -> None:
    before = connection.tenant
    try:
        with transaction.atomic():
            live(steps, partners)
            if end == "undone":
                raise Undone
            if end == "failed":
                # What fails inside stays inside: the path that was set within it is gone with it.
                with in_partner(partners[0]), connection.cursor() as cursor:
                    cursor.execute("SELECT 1 / 0")
    except (Undone, DatabaseError):
        assert connection.tenant is before
    assert_reached()


@pytest.fixture(scope="module")
def partners(operator: Any) -> list[Partner]:
    return [make_partner(), make_partner()]


@pytest.fixture
def alone() -> Iterator[None]:
    """Each life on a connection of its own."""
    yield
    connection.close()
    connection.set_schema_to_public()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=lives)
def test_every_query_reaches_whom_it_should(steps: Steps, partners: list[Partner], alone: None) -> None:
    live(steps, partners)


def test_a_backend_that_remembers_through_a_rollback_is_caught(
    partners: list[Partner], alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what is checked above can fail."""
    monkeypatch.setattr(base.DatabaseWrapper, "rollback", base.original_backend.DatabaseWrapper.rollback)
    with in_partner(partners[0]):
        live([("ask",)], partners)
    with pytest.raises(AssertionError), in_partner(partners[1]):
        live([("atomic", "undone", [("ask",)])], partners)


def test_the_path_is_set_once(partners: list[Partner], alone: None) -> None:
    with in_partner(partners[0]), CaptureQueriesContext(connection) as asked:
        for _ in range(5):
            Customer.objects.count()
    assert sum("search_path" in query["sql"] for query in asked) == 1
    assert len(asked) == 6


def test_nothing_is_asked_on_the_way_there_and_back(partners: list[Partner], alone: None) -> None:
    with in_partner(partners[0]), CaptureQueriesContext(connection) as asked:
        live([("ask",)], partners)
        with in_public(), in_partner(partners[0]):
            live([("ask",)], partners)
        live([("ask",)], partners)
    assert sum("SET search_path" in query["sql"] for query in asked) == 1


@pytest.mark.parametrize("is_savepoint", [False, True])
def test_what_was_reached_before_a_rollback_is_not_reached_any_more(
    partners: list[Partner], alone: None, is_savepoint: bool
) -> None:
    """Nothing is asked between the rollback and the way back to whom it took away."""

    def fail() -> None:
        with transaction.atomic():
            assert_reached()
            raise Undone

    with in_partner(partners[0]), transaction.atomic() if is_savepoint else nullcontext():
        assert_reached()
        with in_partner(partners[1]), pytest.raises(Undone):
            fail()
        with in_partner(partners[1]):
            assert_reached()
    with in_partner(partners[1]):
        connection.close()
        assert_reached()
