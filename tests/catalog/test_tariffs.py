"""Terms once sold never change; what partners refer to is never deleted; the shop window reads in few queries."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from apps.catalog import offers
from apps.catalog.models import BundlePart, Offer, Product, Tariff, TariffVersion
from apps.core import audit, clock
from tests.catalog.conftest import read, run


def refused(act):
    with pytest.raises(IntegrityError), transaction.atomic():
        act()


def run_sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_sold_version_is_frozen_and_nothing_is_deleted(catalogue):
    run(read("price-list.csv"))
    bundle = Tariff.objects.get(code="BUNDLE-HOME")
    old, of_old = bundle.current, TariffVersion.objects.filter(pk=bundle.current.pk)
    of_old.update(trial_days=1)  # not sold yet
    old.mark_sold(clock.wall())
    sold_at = of_old.get().sold_at
    old.mark_sold(clock.wall())
    assert of_old.get().sold_at == sold_at
    refused(lambda: of_old.update(price=Decimal(1)))
    refused(lambda: of_old.update(sold_at=None))
    refused(lambda: BundlePart.objects.filter(version=old).update(position=9))
    refused(lambda: BundlePart.objects.create(version=old, tariff=bundle, position=9))
    refused(lambda: BundlePart.objects.filter(version=old).delete())
    parts = bundle.parts()
    new = bundle.publish(price=Decimal(650), period_count=1, period_unit="month", parts=parts[:2])
    assert (new.number, bundle.current, bundle.parts()) == (2, new, parts[:2])
    assert old.parts() == parts
    with pytest.raises(ValidationError, match="больше нуля"):
        bundle.publish(price=Decimal(0), period_count=1, period_unit="month")
    for table in ("tariffversion", "tariff", "product", "category", "offer"):
        refused(lambda table=table: run_sql(f"DELETE FROM catalog_{table}"))
        refused(
            lambda table=table: run_sql(f"SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE catalog_{table} CASCADE")
        )


def test_partner_sells_what_it_was_offered(catalogue, operator, django_assert_max_num_queries):
    from tests.conftest import make_partner

    run(read("price-list.csv"))
    ours, theirs = make_partner(), make_partner()
    offers.put_on_sale(partner_id=ours.pk, tariffs=Tariff.objects.filter(product__code__in=["KINO", "CLOUD"]))
    offers.put_on_sale(partner_id=ours.pk, tariffs=Tariff.objects.filter(product__code="KINO"))
    offers.put_on_sale(partner_id=theirs.pk, tariffs=Tariff.objects.filter(product__code="FIT"))
    Offer.objects.filter(tariff__code="KINO-Y").update(is_on_sale=False)
    Tariff.objects.filter(code="CLOUD-1T").update(state="archived")
    with django_assert_max_num_queries(3):  # two, after the search_path
        found = list(offers.for_partner(ours.pk))
        shown = {offer.tariff.code: offer.parameters() for offer in found}
        assert str(found[0].current_version().money) == "399\N{NO-BREAK SPACE}₽"
    assert list(shown) == ["KINO-M", "KINO-M4K", "CLOUD-100", "CLOUD-1TY"]
    assert [(one.name, one.value, one.text) for one in shown["KINO-M"]] == [
        ("экранов", 2, "2"),
        ("качество", "FullHD", "FullHD"),
    ]


def wrong_version(tariff):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE catalog_tariff SET current_id = NULL WHERE id = %s", [tariff.pk])


def wrong_value(tariff):
    TariffVersion.objects.filter(pk=tariff.current_id).update(parameters={"ekranov": "много"})


def bundle_without_parts(tariff):
    BundlePart.objects.filter(version__tariff__code="BUNDLE-HOME").delete()


def bundle_in_bundle(tariff):
    Product.objects.filter(code="KINO").update(delivery="bundle", provider=None)


CORRUPTIONS = [
    ("catalog.newest-version-is-sold", wrong_version),
    ("catalog.values-fit-parameters", wrong_value),
    ("catalog.bundle-has-parts", bundle_without_parts),
    ("catalog.bundle-has-parts", bundle_in_bundle),
]


@pytest.mark.parametrize(("rule", "corrupt"), CORRUPTIONS)
def test_auditor_finds_a_planted_corruption(catalogue, rule, corrupt):
    run(read("price-list.csv"))
    check = audit.RULES[rule].check
    assert list(check()) == []
    corrupt(Tariff.objects.get(code="KINO-M"))
    assert list(check()) != []
