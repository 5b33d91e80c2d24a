"""Products and tariffs go through their states by the table, one move at a time; only what is on sale is sold."""

import threading
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps.catalog import cloning, documents, lifecycle, offers
from apps.catalog.lifecycle import MOVES, State
from apps.catalog.models import Feature, Offer, Product, ProductPicture, Tariff, TariffRelation
from apps.core import clock
from apps.core.errors import Refused
from apps.journal.models import Entry
from tests.catalog.conftest import read, run
from tests.conftest import make_partner


@pytest.fixture
def sold(catalogue: None, operator: Any) -> Offer:
    """KINO-M, which a partner sells."""
    run(read("price-list.csv"))
    partner = make_partner()
    offers.put_on_sale(partner_id=partner.pk, tariffs=Tariff.objects.filter(code="KINO-M"))
    return Offer.objects.get(partner=partner)


def is_sold(offer: Offer, day: date | None = None, channel: str = "") -> bool:
    return Offer.objects.on_sale(offer.partner_id, channel, day=day).exists()


def test_moves_go_by_the_table_and_stand_in_the_journal(sold: Offer) -> None:
    tariff = sold.tariff
    for state, allowed in MOVES.items():
        for to in State:
            Tariff.objects.filter(pk=tariff.pk).update(state=state)
            if to in allowed:
                assert lifecycle.move(tariff, to, actor="olga", reason="план").state == to
            else:
                with pytest.raises(Refused, match="bad_move"):
                    lifecycle.move(tariff, to)
    entry = Entry.objects.filter(action="tariff.closed").first()
    assert entry
    assert (entry.actor, entry.data) == ("olga", {"was": "archived", "reason": "план"})
    fresh = Tariff.objects.create(product=tariff.product, code="NEW", name={"ru": "Н"}, state="approved")
    with pytest.raises(Refused, match="not_ready"):
        lifecycle.move(fresh, "on_sale")


@pytest.mark.parametrize("state", [state for state in State if state != "on_sale"])
def test_only_what_is_on_sale_is_sold(sold: Offer, state: str) -> None:
    assert is_sold(sold)
    Tariff.objects.filter(pk=sold.tariff_id).update(state=state)
    assert not is_sold(sold)
    Tariff.objects.filter(pk=sold.tariff_id).update(state="on_sale")
    Product.objects.filter(pk=sold.tariff.product_id).update(state=state)
    assert not is_sold(sold)


@pytest.mark.parametrize("model", ["product", "tariff", "offer"])
def test_days_of_sale(sold: Offer, model: str) -> None:
    row: Any = {"product": sold.tariff.product, "tariff": sold.tariff, "offer": sold}[model]
    first, last = date(2026, 12, 1), date(2026, 12, 31)
    type(row).objects.filter(pk=row.pk).update(on_sale_from=first, on_sale_until=last)
    before, after = first - timedelta(days=1), last + timedelta(days=1)
    assert [is_sold(sold, day) for day in (before, first, last, after)] == [False, True, True, False]
    with pytest.raises(IntegrityError), transaction.atomic():
        type(row).objects.filter(pk=row.pk).update(on_sale_until=before)


def test_a_channels_own_offer_stands_in_place_of_the_common_one(sold: Offer) -> None:
    own = Offer.objects.create(
        partner_id=sold.partner_id, tariff=sold.tariff, channel_code="app", price=Decimal("299.00")
    )
    [found] = Offer.objects.on_sale(sold.partner_id, "app")
    assert (found, found.unit_price) == (own, own.price)
    [common] = Offer.objects.on_sale(sold.partner_id, "web")
    assert common.unit_price == sold.tariff.current.price
    Offer.objects.filter(pk=own.pk).update(is_on_sale=False)
    assert not is_sold(sold, channel="app")
    assert is_sold(sold, channel="web")


def test_a_copy_is_a_draft_with_everything_but_the_code(sold: Offer) -> None:
    product, tariff = sold.tariff.product, sold.tariff
    Feature.objects.create(code="screens", name={"ru": "Экраны"}, has_quantity=True)
    tariff.publish(price="399", period_count=1, period_unit="month", features={"screens": 2})
    TariffRelation.objects.create(tariff=tariff, kind="excludes", other=Tariff.objects.get(code="KINO-Y"))
    ProductPicture.put(product, b"png", "image/png")
    documents.add(product, kind="offer", valid_from=date(2020, 1, 1), text={"ru": "Оферта"})
    made = cloning.product(product, code="KINO2", name="Кино два", actor="olga")
    copies = {one.code: one for one in made.tariffs.all()}
    assert (made.state, str(made.name)) == ("draft", "Кино два")
    assert "KINO2-M" in copies
    assert {one.state for one in copies.values()} == {"draft"}
    copy = copies["KINO2-M"].current
    assert copy
    assert (copy.price, copy.features) == (399, {"screens": 2})
    assert copies["KINO2-M"].relations.get().kind == "excludes"
    assert {one.code for one in made.parameters.all()} == {one.code for one in product.parameters.all()}
    assert made.picture_version == product.picture_version
    assert [one.number for one in made.documents_on(clock.today())] == [1]
    with pytest.raises(Refused, match="code_taken"):
        cloning.product(product, code="KINO2", name="Ещё")


def test_documents_have_versions_and_are_never_rewritten(sold: Offer) -> None:
    product = sold.tariff.product
    day = date(2026, 1, 1)
    old = documents.add(product, kind="offer", valid_from=day, text={"ru": "Первая"})
    new = documents.add(
        product, kind="offer", valid_from=date(2026, 6, 1), text={"ru": "Вторая", "en": "Two"}
    )
    assert product.documents_on(date(2026, 5, 31)) == [old]
    assert product.documents_on(date(2026, 6, 1)) == [new]
    with pytest.raises(IntegrityError), transaction.atomic():
        type(old).objects.filter(pk=old.pk).update(text={"ru": "Другая"})


@pytest.mark.parametrize("locked", [True, False])
def test_two_who_move_at_once_are_judged_one_after_the_other(
    operator: Any, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    """With the lock the second is refused; without it both pass."""
    from tests.orders.shop import Category

    category, _new = Category.objects.get_or_create(code="race", defaults={"name": {"ru": "Гонка"}})
    product = Product.objects.create(
        code=f"RACE-{locked}-{clock.wall():%H%M%S%f}",
        name={"ru": "Гонка"},
        category=category,
        delivery="bundle",
        vat_code="standard",
        state="approved",
    )
    if not locked:
        queryset = type(Product._default_manager.all())
        monkeypatch.setattr(queryset, "select_for_update", lambda self, **_options: self)
    gate, results = threading.Barrier(2, timeout=10), []
    save = Product.save

    def slow(self: Product, **options: Any) -> None:
        if not locked:
            gate.wait()
        save(self, **options)

    monkeypatch.setattr(Product, "save", slow)

    def attempt(to: str) -> None:
        try:
            results.append(lifecycle.move(Product.objects.get(pk=product.pk), to).state)
        except Refused as refused:
            results.append(refused.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, args=(to,)) for to in ("on_sale", "archived")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ("bad_move" in results) == locked
