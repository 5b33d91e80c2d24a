"""A rule is run where there is something of what it goes through, and nowhere else."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.db.models import QuerySet

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.core import audit, clock
from apps.core.models import WorkItem
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import LegalEntity, Partner
from tests.conftest import make_partner


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rules that find something wherever they are run."""
    monkeypatch.setattr(audit, "RULES", {})
    work = audit.some(WorkItem, kind="tests.rows")
    audit.rule("tests.named", of=[audit.some(Customer, name="Anna")])(lambda: ["ran"])
    audit.rule("tests.either", of=[audit.some(Customer, name="Boris"), Customer])(lambda: ["ran"])
    audit.rule("tests.own", of=[work])(lambda: ["ran"])
    audit.rule("tests.everybody", scope="public", of=[work])(lambda: ["ran"])
    yield
    with in_public():
        WorkItem.objects.filter(kind="tests.rows").delete()


def ran(*partners: Partner) -> set[tuple[str, str]]:
    found = audit.run([one.pk for one in partners])
    return {(one.rule.removeprefix("tests."), one.partner) for one in found}


def test_of_some_rows_of_a_table(partner: Partner, said: None) -> None:
    assert ran(partner) == set()
    customers.register(email="boris@example.ru", name="Boris")
    assert ran(partner) == {("either", partner.slug)}
    customers.register(email="anna@example.ru", name="Anna")
    assert ran(partner) == {("named", partner.slug), ("either", partner.slug)}


def test_rows_of_a_public_table_are_the_partners_own(operator: LegalEntity, said: None) -> None:
    one, other = make_partner(), make_partner()
    with in_public():
        WorkItem.objects.create(
            partner_id=one.pk, kind="tests.rows", object_id=uuid4(), reason="-", opened_at=clock.wall()
        )
    assert ran(one, other) == {("own", one.slug), ("everybody", "")}
    with in_partner(other):
        assert (audit.says("tests.own"), audit.says("tests.everybody")) == ([], ["ran"])


def test_a_query_is_composed_once_and_asks_for_whoever_is_current(operator: LegalEntity, said: None) -> None:
    one, other, composed = make_partner(), make_partner(), []

    def make() -> QuerySet[WorkItem]:
        composed.append(1)
        return WorkItem.objects.filter(partner_id=audit.PARTNER, kind=audit.given("kind"), reason="50 %")

    query = audit.Query(make)
    for partner in (one, other):
        with in_public():
            WorkItem.objects.create(
                partner_id=partner.pk,
                kind="tests.rows",
                object_id=uuid4(),
                reason="50 %",
                opened_at=clock.wall(),
            )
        with in_partner(partner):
            assert [row.partner_id for row in query.rows(kind="tests.rows")] == [partner.pk]
            assert list(query.rows(kind="tests.others")) == []
    assert composed == [1]
