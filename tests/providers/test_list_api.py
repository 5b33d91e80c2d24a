"""A provider's system sends which of its services were live on a day, and sees what was taken; nobody else's."""

from datetime import date, timedelta
from decimal import Decimal

from django.core.files.uploadedfile import SimpleUploadedFile

from apps.core import clock
from apps.core.tenancy import in_public
from apps.providers.models import Provider
from apps.providers.portal.models import ServiceList
from apps.settlements import provider_days
from tests.orders.fixtures import shop
from tests.orders.shop import Shop
from tests.providers.test_portal import API, system_of

__all__ = ["shop"]


def table(*rows: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("день.csv", "\n".join(["услуга;стоимость", *rows]).encode())


def test_a_list_that_is_sent_is_held_against_what_was_charged(shop: Shop) -> None:
    service = shop.service(shop.buy(shop.offer()))
    api, day = system_of(shop.provider), clock.today()
    sent = {"day": str(day), "is_test": "true", "file": table(f"{service.request_id};90,00", "что-то;1")}
    answer = api.post(API + "services/", sent)
    told = answer.json()
    assert (answer.status_code, told["rows"], [line for line, _why in told["errors"]]) == (201, 1, [3])
    made = ServiceList.objects.get(pk=told["id"])
    assert (made.provider, made.loaded_by.split(":")[0]) == (shop.provider, "provider")
    assert made.lines.get().cost == Decimal("90.00")
    with in_public():
        row = provider_days.check(shop.provider, day, is_test=True)
    assert (row.source, row.file, row.matched) == ("file", "день.csv", 1)


def test_lists_are_looked_at_by_day_and_page_and_are_its_own(shop: Shop) -> None:
    other = Provider.objects.create(code=f"{shop.partner.slug}-2", name=f"Второй {shop.partner.slug}")
    api, theirs, day = system_of(shop.provider), system_of(other), date(2026, 11, 27)
    for one in (day, day, day + timedelta(days=1)):
        assert api.post(API + "services/", {"day": str(one), "file": table()}).status_code == 201
    ids = list(ServiceList.objects.filter(provider=shop.provider, day=day).values_list("pk", flat=True))
    listed = api.get(f"{API}services/?day={day}").json()["results"]
    assert [one["id"] for one in listed] == sorted(ids, reverse=True)
    first = api.get(f"{API}services/?limit=2").json()
    rest = api.get(first["next"]).json()
    assert (len(first["results"]), [one["id"] for one in rest["results"]], rest["next"]) == (
        2,
        sorted(ids)[:1],
        None,
    )
    assert theirs.get(f"{API}services/?day={day}").json()["results"] == []


def test_what_cannot_be_read_is_refused(shop: Shop) -> None:
    api = system_of(shop.provider)
    assert api.post(API + "services/", {"day": "вчера", "file": table()}).status_code == 400
    assert api.post(API + "services/", {"day": "2026-11-27"}).status_code == 400
    broken = {"day": "2026-11-27", "file": SimpleUploadedFile("день.xlsx", b"no book")}
    assert api.post(API + "services/", broken).json()["type"].endswith("#bad_file")
    assert api.get(API + "services/?day=вчера").status_code == 400
    assert not ServiceList.objects.filter(provider=shop.provider).exists()
