"""Staff load a price list: preview, then confirmation; a new version; offers to a partner."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.catalog.models import Offer, Tariff
from tests.catalog.conftest import DATA, read, run

pytestmark = pytest.mark.usefixtures("catalogue")


@pytest.fixture
def staff(catalogue, client_for):
    client = client_for()
    client.force_login(User.objects.create_superuser(f"admin-{uuid4()}"))
    session = client.session
    session["host"] = client.defaults["SERVER_NAME"]
    session.save()
    return client


def address(name, *args):
    return reverse(f"admin:{name}", urlconf="armor.urls_public", args=args)


def upload(client, name):
    file = SimpleUploadedFile(name, (DATA / name).read_bytes())
    form = {"format": "1" if name.endswith("xlsx") else "0", "import_file": file, "resource": "0"}
    return client.post(address("catalog_tariff_import"), form)


def test_price_list_is_previewed_confirmed_and_exported(staff):
    assert upload(staff, "price-list.xlsx").status_code == 200
    preview = upload(staff, "price-list.csv")
    page = preview.content.decode()
    assert page.count('data-row="new"') == 27
    assert "Новых тарифов: 27" in page
    assert not Tariff.objects.filter(code="KINO-M").exists()
    confirm = preview.context["confirm_form"].initial
    done = staff.post(address("catalog_tariff_process_import"), confirm, follow=True)
    assert "новых 27, изменено 0" in done.content.decode()
    assert Tariff.objects.get(code="KINO-M").current.price == Decimal(399)
    page = upload(staff, "price-list.csv").content.decode()
    assert page.count('data-row="skip"') == 27
    exported = staff.post(address("catalog_tariff_export"), {"format": "0", "resource": "0"})
    assert exported.status_code == 200
    assert exported.content.decode("utf-8-sig").startswith("Артикул продукта;")


def test_broken_price_list_is_explained(staff):
    page = upload(staff, "price-list-broken.csv").content.decode()
    assert "Ничего не записано" in page
    assert "Строка 4: Период: период «1 век» неизвестен" in page
    assert f"{address('providers_provider_add')}?name=%D0%9D" in page
    assert "process_import" not in page
    not_a_list = SimpleUploadedFile("x.xlsx", b"no")
    form = {"format": "1", "import_file": not_a_list, "resource": "0"}
    assert "Это не файл XLSX" in staff.post(address("catalog_tariff_import"), form).content.decode()


def test_new_version_and_offers(staff, operator):
    from tests.conftest import make_partner

    run(read("price-list.csv"))
    kino = Tariff.objects.get(code="KINO-M")
    page = address("catalog_tariff_new_version", kino.pk)
    terms = {
        "price": "450",
        "period_count": "1",
        "period_unit": "month",
        "trial_days": "0",
        "vat_code": "standard",
    }
    assert 'value="FullHD"' in staff.get(page).content.decode()
    wrong = staff.post(page, {**terms, "parameter_ekranov": "много"})
    assert "нужно целое число" in wrong.content.decode()
    assert staff.post(page, {**terms, "parameter_ekranov": "3"}).status_code == 302
    kino.refresh_from_db()
    assert (kino.current.number, kino.current.price) == (2, Decimal(450))
    assert kino.current.parameters == {"ekranov": 3}
    partner = make_partner()
    form = {"partner": partner.pk, "tariffs": [kino.pk]}
    assert staff.get(address("catalog_offer_offer_many")).status_code == 200
    assert staff.post(address("catalog_offer_offer_many"), form).status_code == 302
    assert [offer.tariff for offer in Offer.objects.on_sale(partner.pk)] == [kino]
    for name in ("category", "product", "tariff", "offer"):
        assert staff.get(address(f"catalog_{name}_changelist")).status_code == 200
    found = staff.get(address("catalog_tariff_changelist"), {"q": "кинотеатр"}).context["cl"]
    assert {tariff.code for tariff in found.queryset} >= {"KINO-M", "KINO-Y"}
    assert "FIT-M" not in {tariff.code for tariff in found.queryset}
    for name, row in (("tariff", kino), ("product", kino.product), ("category", kino.product.category)):
        assert staff.get(address(f"catalog_{name}_change", row.pk)).status_code == 200
