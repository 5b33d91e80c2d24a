"""The matrix: what changes is shown before it is saved; all of it or nothing, and never over somebody else's change."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from apps.catalog import matrix, offers
from apps.catalog.models import Offer, Tariff
from apps.core.errors import Refused
from apps.journal.models import Entry
from apps.partners.models import Partner
from tests.catalog.conftest import read, run
from tests.conftest import make_partner


@pytest.fixture
def partner(catalogue: None, operator: Any) -> Partner:
    """Sells KINO-M."""
    run(read("price-list.csv"))
    made = make_partner()
    offers.put_on_sale(partner_id=made.pk, tariffs=Tariff.objects.filter(code="KINO-M"))
    return made


def row(partner: Partner, code: str = "KINO-M", **changes: Any) -> dict[str, Any]:
    """A cell as the page sends it."""
    plain = {
        "channel": "",
        "revision": 1,
        "on": True,
        "price": "",
        "from": "",
        "until": "",
        "payer": "charge",
    }
    return {"partner": partner.pk, "tariff": Tariff.objects.get(code=code).pk, **plain, **changes}


def edits(*rows: dict[str, Any]) -> list[matrix.Edit]:
    return matrix.parse(json.dumps(rows))


def test_a_diff_says_what_changes_and_saving_does_it(partner: Partner) -> None:
    wanted = edits(
        row(partner, price="349,50", until="2026-12-31", payer="partner_pays"),
        row(partner, "KINO-Y", revision=0),
        row(partner, "FIT-M", revision=0, on=False),
        row(partner, channel="app", revision=0, price="1 299"),
    )
    changes = matrix.compare(wanted)
    told = {(one.tariff.code, one.edit.channel_code): one.differences for one in changes}
    assert set(told) == {("KINO-M", ""), ("KINO-Y", ""), ("KINO-M", "app")}
    assert [(one.new) for one in told["KINO-M", ""]] == [
        "349,50\N{NO-BREAK SPACE}₽",
        "31.12.2026",
        "партнёр платит за клиентов",
    ]
    assert Offer.objects.filter(partner=partner).count() == 1
    assert matrix.save(wanted, actor="olga") == 3
    offer = Offer.objects.get(partner=partner, tariff__code="KINO-M", channel_code="")
    assert (offer.price, offer.on_sale_until, offer.payer, offer.revision) == (
        Decimal("349.50"),
        date(2026, 12, 31),
        "partner_pays",
        2,
    )
    # A price of one's own leaves a trace.
    entry = Entry.objects.filter(action="offer.changed", object_id=str(offer.pk)).get()
    assert entry.actor == "olga"
    assert "349,50" in str(entry.data["changes"])
    assert (
        matrix.save(edits(row(partner, revision=2, price="349.50", until="2026-12-31", payer="partner_pays")))
        == 0
    )


def test_what_somebody_changed_meanwhile_is_not_overwritten(partner: Partner) -> None:
    wanted = edits(row(partner, price="100"), row(partner, "KINO-Y", revision=0))
    matrix.save(edits(row(partner, price="200")), actor="ivan")
    assert [one.is_stale for one in matrix.compare(wanted)] == [True, False]
    with pytest.raises(Refused, match="changed_meanwhile"):
        matrix.save(wanted, actor="olga")
    assert [one.price for one in Offer.objects.filter(partner=partner)] == [Decimal("200.00")]
    # Nor one that somebody made meanwhile.
    with pytest.raises(Refused, match="changed_meanwhile"):
        matrix.save(edits(row(partner, revision=0, price="5")))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"price": "много"}, "не цена"),
        ({"price": "-5"}, "больше нуля"),
        ({"price": "1.005"}, "двух знаков"),
        ({"from": "2026-02-02", "until": "2026-02-01"}, "раньше, чем начинаются"),
        ({"from": "вчера"}, "не дата"),
        ({"payer": "nobody"}, "кто платит"),
        ({"channel": "русский"}, "латинские"),
        ({"revision": None}, "обновите"),
    ],
)
def test_wrong_cells_are_named(partner: Partner, wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        edits(row(partner, **wrong))


def test_the_page_shows_a_diff_saves_and_refuses_what_is_stale(partner: Partner, staff_client: Any) -> None:
    client = staff_client()
    page = (
        reverse("admin:catalog_offer_matrix", urlconf="armor.urls_public") + f"?partner={partner.pk}&q=KINO"
    )
    text = client.get(page).content.decode()
    assert 'data-revision="1"' in text
    assert str(partner) in text
    changes = json.dumps([row(partner, price="333")])
    diff = client.post(page, {"changes": changes})
    assert diff.content.decode().count("data-change") == 1
    assert "333" in diff.content.decode()
    assert client.post(page, {"changes": changes, "confirm": "1"}).status_code == 302
    assert Offer.objects.get(partner=partner).price == Decimal("333.00")
    stale = client.post(page, {"changes": changes.replace("333", "444"), "confirm": "1"}, follow=True)
    assert "изменил кто-то другой" in stale.content.decode()
    assert "не цена" in client.post(page, {"changes": changes.replace("333", "x")}).content.decode()
    looker = staff_client(role="support")
    assert looker.get(page).status_code == 200
    looker.post(page, {"changes": changes.replace("333", "444"), "confirm": "1"})
    assert Offer.objects.get(partner=partner).price == Decimal("333.00")
