"""API keys and feeds of channels."""

from xml.etree import ElementTree

import pytest
from django.core.exceptions import ValidationError

from apps.channels.models import ApiKey, Channel, ChannelOffer, Kind, Scope
from apps.connectors.models import Connection
from apps.core.tenancy import in_partner, in_public
from apps.journal.models import Entry
from apps.orders.models import Order
from apps.partners.services import create_partner
from tests.storefronts.conftest import client_for, shop

__all__ = ["client_for", "shop"]

OFFERS = "/api/v1/offers/"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_key_opens_its_own_partner_only_and_only_until_revoked(partner, client_for):
    channel = Channel.objects.get(code="api")
    key, plaintext = ApiKey.issue(channel, ["offers:read"], actor="anna")
    assert plaintext.split("_")[2] not in str(vars(key))
    assert Entry.objects.filter(action="apikey.issued").exists()
    api = client_for(partner)
    assert api.get(OFFERS, headers=bearer(plaintext)).status_code == 200
    assert ApiKey.objects.get().last_used_at is not None
    assert api.get("/api/v1/orders/", headers=bearer(plaintext)).status_code == 403

    with in_public():
        other = create_partner(slug=f"other-{partner.pk}", name="Другой")
    for client, header in (
        (api, None),
        (api, bearer(plaintext[:-1])),
        (api, bearer("armor_nope")),
        (api, {"authorization": "Basic YTpi"}),
        (client_for(other), bearer(plaintext)),
    ):
        refused = client.get(OFFERS, headers=header)
        assert refused.status_code == 401
        assert refused["Content-Type"] == "application/problem+json"
        assert refused["WWW-Authenticate"].startswith("Bearer")

    with in_partner(partner):
        key.revoke()
        assert api.get(OFFERS, headers=bearer(plaintext)).status_code == 401


def test_a_key_needs_known_rights(partner):
    channel = Channel.objects.get(code="api")
    for scopes in ([], ["everything"]):
        with pytest.raises(ValidationError):
            ApiKey.issue(channel, scopes)


def test_the_feed_lists_what_the_channel_sells(shop, client_for):
    with in_public():
        shop.product.name = {"ru": "Антивирус <Щит> & Ко"}
        shop.product.save()
    channel = Channel.objects.create(code="market", name="Маркет", kind=Kind.MARKET)
    feed = client_for(shop.partner).get("/feeds/market.yml")
    assert feed.status_code == 200
    assert feed["Content-Type"].startswith("application/xml")
    offers = ElementTree.fromstring(feed.content).findall("shop/offers/offer")
    assert [offer.get("id") for offer in offers] == [str(shop.offer.pk), str(shop.trial.pk)]
    first = offers[0]
    assert first.findtext("name") == "Антивирус <Щит> & Ко, Помесячно"
    assert (first.findtext("price"), first.findtext("currencyId")) == ("149.00", "RUB")
    assert first.findtext("url").endswith(f"/product/{shop.product.code}/?channel=market")

    ChannelOffer.objects.create(channel=channel, offer=shop.trial)
    chosen = ElementTree.fromstring(client_for(shop.partner).get("/feeds/market.yml").content)
    assert [offer.get("id") for offer in chosen.findall("shop/offers/offer")] == [str(shop.trial.pk)]
    Channel.objects.filter(pk=channel.pk).update(is_active=False)
    assert client_for(shop.partner).get("/feeds/market.yml").status_code == 404


@pytest.fixture
def no_gateway():
    """Of the platform's, whatever other tests have left: off for the test."""
    with in_public():
        lines = Connection.objects.filter(kind="payment", partner=None, is_enabled=True)
        keys = list(lines.values_list("pk", flat=True))
        lines.update(is_enabled=False)
    yield
    with in_public():
        Connection.objects.filter(pk__in=keys).update(is_enabled=True)


def test_a_channels_choice_binds_its_keys(no_gateway, shop, client_for):
    channel = Channel.objects.get(code="api")
    _key, plaintext = ApiKey.issue(channel, ["offers:read", "orders:write"])
    api = client_for(shop.partner)
    listed = api.get(OFFERS, headers=bearer(plaintext)).json()["results"]
    assert {offer["id"] for offer in listed} == {shop.offer.pk, shop.trial.pk}

    ChannelOffer.objects.create(channel=channel, offer=shop.offer)
    listed = api.get(OFFERS, headers=bearer(plaintext)).json()["results"]
    assert [offer["id"] for offer in listed] == [shop.offer.pk]
    assert api.get(f"{OFFERS}{shop.trial.pk}/", headers=bearer(plaintext)).status_code == 404
    asked = {
        "offer": shop.trial.pk,
        "customer": {"external_id": "client-1"},
        "return_url": "https://bank.example/{order}",
    }
    answer = api.post("/api/v1/orders/", asked, "application/json", headers=bearer(plaintext))
    assert (answer.status_code, answer.json()["title"]) == (404, "offer_closed")
    assert not Order.objects.exists()
    # What is chosen comes as far as the gateway, which is not there.
    answer = api.post(
        "/api/v1/orders/", {**asked, "offer": shop.offer.pk}, "application/json", headers=bearer(plaintext)
    )
    assert (answer.status_code, answer.json()["title"]) == (503, "no_connection")
    assert not Order.objects.exists()


def test_a_key_has_no_right_that_opens_nothing():
    from armor.urls_partner import router, urlpatterns

    views = [view for _path, view, _name in router.registry]
    views += [cls for one in urlpatterns if (cls := getattr(getattr(one, "callback", None), "cls", None))]
    used = {scope for view in views for scope in getattr(view, "required_scopes", {}).values()}
    assert used == set(Scope.values)
