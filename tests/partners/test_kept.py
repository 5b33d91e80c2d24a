"""What partners' rows refer to is never deleted, and what was agreed for a day that has come is never changed."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps.core import clock
from apps.core.tenancy import in_public
from apps.partners.models import ContractTerms, Partner
from apps.policies.models import VatRate


def refused(sql: str, *values: Any) -> None:
    with in_public(), pytest.raises(IntegrityError, match="refused"), transaction.atomic():
        run(sql, *values)


def run(sql: str, *values: Any) -> None:
    with in_public(), connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.mark.parametrize(
    "table",
    ["connectors_connection", "connectors_gatewayreference", "partners_legalentity", "partners_partner"],
)
def test_what_partners_refer_to_is_kept(partner: Partner, table: str) -> None:
    refused(f"DELETE FROM {table} WHERE id = 0")
    refused(f"SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE {table} CASCADE")


def terms(partner: Partner, day: date) -> ContractTerms:
    return ContractTerms.objects.create(partner=partner, number="1", valid_from=day, share_percent=Decimal(5))


def test_terms_in_force_are_not_changed(partner: Partner) -> None:
    table = "partners_contractterms"
    today, coming = terms(partner, clock.today()), terms(partner, clock.today() + timedelta(days=2))
    refused(f"UPDATE {table} SET share_percent = 6 WHERE id = %s", today.pk)
    refused(f"UPDATE {table} SET valid_from = valid_from + 9 WHERE id = %s", today.pk)
    refused(f"DELETE FROM {table} WHERE id = %s", today.pk)
    refused(f"TRUNCATE {table}")
    run(f"UPDATE {table} SET share_percent = 6 WHERE id = %s", coming.pk)
    run(f"DELETE FROM {table} WHERE id = %s", coming.pk)


def test_terms_come_into_force_by_the_clock_of_a_sandbox(sandbox_partner: Partner) -> None:
    coming = terms(sandbox_partner, clock.today() + timedelta(days=2))
    run("UPDATE partners_partner SET clock_at = now() + interval '3 days' WHERE id = %s", sandbox_partner.pk)
    refused("UPDATE partners_contractterms SET share_percent = 6 WHERE id = %s", coming.pk)


def test_rates_that_have_begun_are_not_changed(partner: Partner) -> None:
    past = VatRate.objects.filter(code="standard").latest("valid_from")
    coming = VatRate.objects.create(code="later", name="Позже", valid_from=clock.today() + timedelta(days=2))
    refused("UPDATE policies_vatrate SET percent = 1 WHERE id = %s", past.pk)
    refused("DELETE FROM policies_vatrate WHERE id = %s", past.pk)
    refused("TRUNCATE policies_vatrate")
    run("UPDATE policies_vatrate SET percent = 1 WHERE id = %s", coming.pk)
    run("DELETE FROM policies_vatrate WHERE id = %s", coming.pk)
