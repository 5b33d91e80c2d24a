"""The sales report: one query, right sums, only one's own, files that a spreadsheet reads back."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import openpyxl
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import Category, Product, Tariff
from apps.channels.models import Channel
from apps.core.ids import uuid7
from apps.core.tenancy import in_partner, in_public
from apps.ledger.ledger import Account, Posting, post
from apps.providers.models import Provider
from apps.reports import sales
from tests.conftest import make_partner

DAY, NEXT = date(2031, 3, 1), date(2031, 3, 2)
PERIOD = {"since": "2031-03-01", "until": "2031-03-31"}


def pay(amount, *, kind="new", day=DAY, refund=False, **dimensions):
    """One payment or refund in the current partner's name."""
    # As payments post them: a refund is the mirror of a payment.
    held, other = Account.CLEARING, Account.RECEIVABLE
    debit, credit = (other, held) if refund else (held, other)
    posting = Posting(
        name="paid", debit=debit, credit=credit, amount=Decimal(amount), kind=kind, **dimensions
    )
    with transaction.atomic():
        post("payment", uuid7(), [posting], occurred_at=datetime.now(UTC), business_date=day)


@pytest.fixture
def tariff(partner):
    with in_public():
        provider = Provider.objects.create(code=f"p-{partner.slug}", name=f"Поставщик {partner.slug}")
        category, _is_new = Category.objects.get_or_create(
            code="reports", defaults={"name": {"ru": "Разное"}}
        )
        product = Product.objects.create(
            code=f"r-{partner.slug}",
            name={"ru": "=Облако"},
            category=category,
            provider=provider,
            delivery="key",
            vat_code="standard",
        )
        tariff = Tariff.objects.create(product=product, code=f"r-{partner.slug}", name={"ru": "Базовый"})
        for price in ("100.00", "120.00"):
            tariff.publish(price=Decimal(price), period_count=1, period_unit="month")
    return tariff


@pytest.fixture
def sold(partner, tariff):
    """Two sales by two versions of one tariff, a renewal, a refund."""
    old, new = tariff.versions.order_by("number")
    web = Channel.objects.get(code="web")
    known = {"product_id": tariff.product_id, "channel_id": web.pk}
    pay("100.00", tariff_version_id=old.pk, **known)
    pay("120.00", tariff_version_id=new.pk, **known)
    pay("1234.50", kind="renewal", day=NEXT, tariff_version_id=old.pk, **known)
    pay("100.00", kind="refund", day=NEXT, refund=True, tariff_version_id=old.pk, **known)
    return partner


def ask(**options):
    return sales.answer(sales.Question(since=DAY, until=date(2031, 3, 31), **options))


def test_sums_by_every_dimension(sold):
    with CaptureQueriesContext(connection) as queries:
        rows = ask(partner_id=sold.pk)
    assert len([query for query in queries if query["sql"].startswith("SELECT")]) == 1
    assert [(row.names, row.count, row.new, row.renewal, row.refunded, row.net) for row in rows] == [
        ((DAY,), 2, Decimal("220.00"), Decimal(0), Decimal(0), Decimal("220.00")),
        ((NEXT,), 1, Decimal(0), Decimal("1234.50"), Decimal("100.00"), Decimal("1134.50")),
    ]
    [row] = ask(partner_id=sold.pk, by=("partner", "product", "tariff", "channel"))
    assert row.names == (sold.name, "=Облако", "=Облако, Базовый", "Витрина")
    assert [row.count for row in ask(partner_id=sold.pk, by=("kind",), kind="renewal")] == [1]
    assert ask(partner_id=sold.pk, channel="api") == []
    assert len(ask(partner_id=sold.pk, channel="web", by=("month",))) == 1


def test_sandbox_is_left_out_and_sees_its_own(sandbox_partner):
    pay("5.00", day=date(2032, 1, 1))
    asked = {"since": date(2032, 1, 1), "until": date(2032, 1, 1)}
    assert sales.answer(sales.Question(**asked)) == []
    own = sales.Question(**asked, partner_id=sandbox_partner.pk, own_sandbox=True)
    assert [row.net for row in sales.answer(own)] == [Decimal("5.00")]


def test_files_read_back_with_types(sold, staff):
    client = staff(None, "finance")
    with in_public():
        asked = {**PERIOD, "partner": sold.pk, "by": ["day", "product"]}
        page = client.get("/admin/reports/sales/", asked).content.decode()
        xlsx = client.get("/admin/reports/sales/", {**asked, "format": "xlsx"})
        text = client.get("/admin/reports/sales/", {**asked, "format": "csv"}).content
    assert "1 134,50 ₽".replace(" ", "\N{NO-BREAK SPACE}") in page
    sheet = openpyxl.load_workbook(io.BytesIO(xlsx.content)).active
    head, _first, second = sheet.iter_rows()
    assert [cell.value for cell in head][:3] == ["День", "Продукт", "Продаж"]
    assert [cell.data_type for cell in second] == ["d", "s", "n", "n", "n", "n", "n", "n", "s"]
    assert (second[0].value.date(), second[1].value, second[7].value) == (NEXT, "=Облако", 1134.5)
    assert text.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig")), delimiter=";"))
    assert (rows[1]["День"], rows[1]["Продукт"], rows[1]["Итого"]) == ("02.03.2031", "'=Облако", "1134,50")


def test_partners_console_is_held_to_its_own(sold, staff):
    with in_partner(make_partner()) as other:
        pay("77.77", channel_id=Channel.objects.get(code="web").pk)
    client = staff(other, "finance")
    with in_public():
        asked = {**PERIOD, "partner": sold.pk, "by": ["product", "partner"], "format": "csv"}
        page = client.get("/admin/reports/sales/", asked)
        assert page.status_code == 200
        assert (
            "=Облако" not in client.get("/admin/reports/sales/", {**PERIOD, "by": "product"}).content.decode()
        )
        text = client.get("/admin/reports/sales/", {**PERIOD, "format": "csv"}).content.decode()
        assert "77,77" in text
        assert "1234" not in text
        support = staff(other, "support")
        assert support.get("/admin/reports/sales/").status_code == 403
        assert (
            client.get("/admin/reports/sales/", {"since": "2031-03-02", "until": "2031-03-01"}).status_code
            == 200
        )
