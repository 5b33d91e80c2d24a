"""The API lists what this partner sells, filtered, and nothing of another partner."""

from apps.catalog import offers
from apps.catalog.models import Offer, Tariff
from apps.channels.models import ApiKey, Channel
from apps.core.tenancy import in_partner
from tests.catalog.conftest import read, run
from tests.conftest import make_partner


def test_offers_are_the_partners_own_and_filtered(catalogue, operator, client_for):
    run(read("price-list.csv"))
    ours, theirs = make_partner(), make_partner()
    offers.put_on_sale(
        partner_id=ours.pk, tariffs=Tariff.objects.filter(product__code__in=["KINO", "GADGET", "BUNDLE"])
    )
    offers.put_on_sale(partner_id=theirs.pk, tariffs=Tariff.objects.filter(product__code="FIT"))
    with in_partner(ours):
        channel = Channel.objects.create(code="shop", name="Магазин", kind="api")
        _key, secret = ApiKey.issue(channel, ["offers:read"])
        _key, other = ApiKey.issue(channel, ["orders:read"])
    client = client_for(ours)

    def get(path, key=secret, **query):
        return client.get(f"/api/v1/offers/{path}", query, headers={"Authorization": f"Bearer {key}"})

    page = get("").json()
    assert {one["code"] for one in page["results"]} == {
        "KINO-M", "KINO-M4K", "KINO-Y", "GADGET-M", "GADGET-Y", "BUNDLE-HOME",
    }  # fmt: skip
    kino = get("", code="KINO-M").json()["results"][0]
    assert kino == get(f"{kino['id']}/").json()
    assert (kino["price"], kino["currency"], kino["trial_days"], kino["vat"]) == (
        "399.00",
        "RUB",
        14,
        "22.00",
    )
    assert kino["period"] == {"count": 1, "unit": "month"}
    assert kino["parameters"][0] == {"code": "ekranov", "name": "экранов", "kind": "int", "value": 2}
    assert get("", code="GADGET-M").json()["results"][0]["vat"] is None
    assert get("", product="BUNDLE").json()["results"][0]["parts"] == ["KINO-M", "CLOUD-100", "AVIRUS-M"]
    assert len(get("", category=kino["product"]["category"]).json()["results"]) == 3
    first = get("", limit=2).json()
    assert len(first["results"]) == 2
    assert first["next"]
    assert get(f"{Offer.objects.get(partner=theirs, tariff__code='FIT-M').pk}/").status_code == 404
    assert get("", key=other).status_code == 403
    assert get("", key="armor_no_no").status_code == 401
    assert (
        client_for(theirs).get("/api/v1/offers/", headers={"Authorization": f"Bearer {secret}"}).status_code
        == 401
    )
