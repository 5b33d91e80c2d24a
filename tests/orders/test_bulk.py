"""Orders from a file: every bad row is named, every good one is placed once, whoever dies on the way."""

import io
from datetime import datetime, timedelta
from typing import Any

import openpyxl
import pytest

from apps.catalog.models import SalesStop, Tariff
from apps.core import audit, clock, faults, gather
from apps.core.errors import Refused
from apps.core.models import Due
from apps.journal.models import Entry
from apps.orders import bulk_orders, placing, scheduling
from apps.orders.bulk_models import BulkOrder, BulkRow
from apps.orders.models import Order
from tests.accounts.at_once import at_once
from tests.orders.shop import Shop

HOUR = timedelta(hours=1)
HEADINGS = "Номер клиента;Телефон;Почта;Имя;Тариф;Количество;Исполнить с;Ответы"


def reported(shop: Shop) -> str:
    offer = shop.offer(price="100.00")
    offer.payer = "partner_reports"
    offer.save()
    return str(offer.tariff.code)


def file(*rows: str) -> bytes:
    return "\n".join([HEADINGS, *rows]).encode("cp1251")


def test_bad_rows_are_named_and_good_ones_are_placed_once(shop: Shop) -> None:
    code = reported(shop)
    later = f"{clock.today() + timedelta(days=2):%d.%m.%Y}"
    made = bulk_orders.look(
        name="июль.csv",
        content=file(
            f"A-1;;;Анна;{code};2;;",
            f"A-2;+79161234567;;Борис;{code};;{later};",
            f";;;Никто;{code};1;;",
            "A-3;;;;НЕТ-ТАКОГО;1;;",
            f"A-4;123;;;{code};1;;",
            f"A-5;;;;{code};100;;",
            f"=cmd|'/c calc'!A1;;;;{code};1;;",
        ),
        actor="anna",
    )
    reasons = dict(made.lines.exclude(reason="").values_list("line", "reason"))
    assert set(reasons) == {4, 5, 6, 7}
    assert "тариф не продаётся" in reasons[5]
    assert reasons[6].startswith("Телефон")
    assert (made.rows, made.refused, Order.objects.count()) == (7, 4, 0)
    bulk_orders.start(made)
    with pytest.raises(Refused):
        bulk_orders.start(made)
    shop.hurry()
    made.refresh_from_db()
    assert (made.state, made.placed, made.refused, made.left) == ("done", 3, 4, 0)
    assert sorted(Order.objects.values_list("state", flat=True)) == ["completed", "completed", "pending"]
    assert not any(row.person for row in BulkRow.objects.filter(state="placed"))
    bulk_orders.place(made.pk)
    assert Order.objects.count() == 3
    assert list(audit.run([shop.partner.pk])) == []


def test_rows_that_met_a_stop_are_tried_again_and_placed_once(shop: Shop) -> None:
    code, halted, closing = reported(shop), reported(shop), reported(shop)
    now = clock.wall()
    stop = SalesStop.objects.create(tariff=Tariff.objects.get(code=halted), starts_at=now, ends_at=now + HOUR)
    made = bulk_orders.look(
        name="a.csv",
        content=file(
            f"S-1;;;;{code};1;;",
            f"S-2;;;;{halted};1;;",
            f"S-3;;;;{closing};1;;",
            f"S-4;;;;{halted};100;;",
            f"S-5;123;;;{code};1;;",
        ),
    )
    # It says before anything is ordered which rows are not sold just now.
    reasons = dict(made.lines.exclude(reason="").values_list("line", "reason"))
    assert (set(reasons), made.left) == ({3, 5, 6}, 2)
    assert reasons[3].startswith("Временно не продаётся, ожидаем")
    later = SalesStop.objects.create(cause="hand", tariff=Tariff.objects.get(code=closing), starts_at=now)
    bulk_orders.start(made)
    with pytest.raises(Refused, match="bulk_not_done"):
        bulk_orders.again(made)
    shop.hurry()
    made.refresh_from_db()
    assert (made.state, made.placed, made.refused) == ("done", 1, 4)
    # Stopped still, they are refused once more, and not lost.
    bulk_orders.again(made, actor="anna")
    shop.hurry()
    made.refresh_from_db()
    assert (made.state, made.placed, made.refused) == ("done", 1, 4)
    assert bulk_orders.refused_before(made).count() == 2
    SalesStop.objects.filter(pk__in=[stop.pk, later.pk]).delete()
    going = bulk_orders.again(made, actor="anna")
    assert (going.state, going.left, going.done_at) == ("going", 2, None)
    shop.hurry()
    made.refresh_from_db()
    assert (made.state, made.placed, made.refused) == ("done", 3, 2)
    assert made.done_at is not None
    assert sorted(Order.objects.values_list("customer__external_id", flat=True)) == ["S-1", "S-2", "S-3"]
    # What could not be read is not guessed at.
    with pytest.raises(Refused, match="nothing_again"):
        bulk_orders.again(made)
    told = Entry.objects.filter(action="bulk.again", object_id=str(made.pk)).values_list("actor", flat=True)
    assert list(told) == ["anna", "anna"]
    assert list(audit.run([shop.partner.pk])) == []


def test_killed_between_two_rows_it_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    code = reported(shop)
    made = bulk_orders.look(name="a.csv", content=file(*(f"K-{n};;;;{code};1;;" for n in range(5))))
    with faults.crash_at("orders.placed-among-many", after=2), pytest.raises(faults.Crash):
        bulk_orders.place(made.pk)
    assert Order.objects.count() == 0
    whole, calls = placing.place_order, []

    def dies(**given: Any) -> Order:
        calls.append(1)
        order = whole(**given)
        if len(calls) == 3:
            raise faults.Crash("killed")
        return order

    def apart(rows: Any) -> None:
        raise gather.Apart("")

    with monkeypatch.context() as patch:
        # By themselves, as those are placed that cannot be with others.
        patch.setattr(bulk_orders, "_place_rows", apart)
        patch.setattr(gather, "halved", lambda items, together, alone: [alone(one) for one in items])
        patch.setattr(bulk_orders, "place_order", dies)
        with pytest.raises(faults.Crash):
            bulk_orders.place(made.pk)
    assert Order.objects.count() == 2
    bulk_orders.place(made.pk)
    made.refresh_from_db()
    assert (made.state, made.placed, Order.objects.count()) == ("done", 5, 5)


def table(*rows: tuple[Any, ...]) -> bytes:
    """The same as a spreadsheet: cells of their own kinds."""
    sheet, kept = openpyxl.Workbook(), io.BytesIO()
    sheet.active.append(HEADINGS.split(";"))
    for row in rows:
        sheet.active.append(row)
    sheet.save(kept)
    return kept.getvalue()


def test_a_spreadsheet_is_read_as_a_file_of_lines(shop: Shop) -> None:
    code, day = reported(shop), clock.today() + timedelta(days=2)
    at = datetime(day.year, day.month, day.day)
    made = bulk_orders.look(
        name="Заказы.xlsx",
        content=table(
            # Numbers that are numbers, a day that is a date, a row left empty between.
            (1042, 79161234567, None, "Анна", code, 2, None, None),
            (None,) * 8,
            ("A-2", None, "boris@example.ru", "Борис", code, None, at, None),
            ("A-3", None, None, None, "НЕТ", 1, None, None),
        ),
    )
    assert (made.rows, made.refused) == (3, 1)
    [bad] = made.lines.filter(state="refused")
    assert (bad.line, "тариф не продаётся: НЕТ" in bad.reason) == (5, True)
    bulk_orders.start(made)
    shop.hurry()
    made.refresh_from_db()
    assert (made.state, made.placed, made.refused) == ("done", 2, 1)
    now = Order.objects.get(customer__external_id="1042")
    assert (now.item.quantity, now.customer.phone, now.customer.name) == (2, "+79161234567", "Анна")
    later = Order.objects.get(customer__external_id="A-2")
    assert (later.state, later.scheduled_at) == ("pending", scheduling.morning(day))
    assert list(audit.run([shop.partner.pk])) == []


def test_what_is_no_file_of_orders_is_refused(shop: Shop) -> None:
    sheet = openpyxl.Workbook()
    sheet.active.append(["Телефон", "Чужое"])
    kept = io.BytesIO()
    sheet.save(kept)
    for name, content in (
        ("a.xlsx", kept.getvalue()),
        ("a.xlsx", b"PK\x03\x04 broken"),
        ("a.csv", b"\xff\xfe\x00\x01"),
        ("a.csv", b""),
        ("a.csv", HEADINGS.encode()),
        ("a.csv", b"x" * (bulk_orders.MOST_BYTES + 1)),
    ):
        with pytest.raises(ValueError):
            bulk_orders.look(name=name, content=content)
    assert not BulkOrder.objects.exists()


def test_two_who_place_a_file_have_other_rows_in_hand(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    code = reported(shop)
    # Whoever sells a tariff for the first time is waited for.
    bulk_orders.place(bulk_orders.look(name="first.csv", content=file(f"H-0;;;;{code};1;;")).pk)
    monkeypatch.setattr(bulk_orders, "TURN", 3)
    made = bulk_orders.look(name="a.csv", content=file(*(f"H-{n};;;;{code};1;;" for n in range(1, 11))))
    bulk_orders.start(made)
    hands = set(
        Due.objects.filter(partner_id=shop.partner.pk, kind=bulk_orders.PLACE).values_list("object_id")
    )
    assert len(hands) == 4
    placed: list[tuple[int, int]] = []
    whole = bulk_orders._place_rows

    def slowly(rows: Any) -> None:
        whole(rows)
        if not placed:
            # Another comes while these are in hand, and is done before them.
            placed.append((rows[0].line, len(rows)))
            at_once(shop.partner, [lambda: bulk_orders.place(made.pk)])
        else:
            placed.append((rows[0].line, len(rows)))

    with monkeypatch.context() as patch:
        patch.setattr(bulk_orders, "_place_rows", slowly)
        bulk_orders.place(made.pk)
    assert placed == [(2, 3), (5, 3)]
    made.refresh_from_db()
    assert (made.state, made.placed, Order.objects.count()) == ("going", 6, 7)
    shop.hurry()
    made.refresh_from_db()
    assert (made.state, made.placed, Order.objects.count()) == ("done", 10, 11)
    assert not Due.objects.filter(partner_id=shop.partner.pk, kind=bulk_orders.PLACE).exists()
    numbers = sorted(Order.objects.values_list("number", flat=True))
    assert len(set(numbers)) == 11
    assert list(audit.run([shop.partner.pk])) == []
