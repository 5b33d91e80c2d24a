"""Thousands of subscriptions of an old system: what we would have charged in a month, beside what it did.

The old system of this test computes by plain calendar arithmetic of its own, not by our engine. BASE_ROWS says how
many they are (1,000 where it is not set).
"""

import calendar
import os
import time
from collections import Counter
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

import pytest

from apps.billing.models import InvoiceState, Subscription
from apps.billing.moving import reading, shadow
from apps.billing.moving.models import BaseRow, BaseRowState, ShadowRun
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.models import Due, Event
from apps.notifications.models import Message
from apps.orders.models import Service
from apps.payments.models import Payment, PaymentMethod
from tests.billing.bases import as_csv, gateway, load, look, move, old_csv
from tests.orders.shop import Shop

SIZE = int(os.environ.get("BASE_ROWS", 1_000))
PERIODS = [(1, "month"), (3, "month"), (1, "year"), (2, "week"), (10, "day")]


def later(day: date, count: int, unit: str, keeps: int) -> date:
    """One period after a bill date, on the day of the month that is kept."""
    if unit in {"day", "week"}:
        return day + timedelta(days=count * (7 if unit == "week" else 1))
    months = day.year * 12 + day.month - 1 + count * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(keeps, calendar.monthrange(year, month + 1)[1]))


def kopecks(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


class OldSystem:
    """A base of every kind of subscription, and what is charged for it in a month."""

    def __init__(self, shop: Shop, size: int, saved: str) -> None:
        self.random, self.today = Random(20261127), clock.today()
        self.offers = {
            period: shop.offer(
                delivery="key", keys=1, price="299.00", period_count=period[0], period_unit=period[1]
            )
            for period in PERIODS
        }
        self.saved = saved
        self.rows = [self.row(number) for number in range(size)]
        # Add-ons stand on the dates of the one before.
        for number in range(0, size - 1, 20):
            self.make_addon(self.rows[number], self.rows[number + 1])
        self.end = self.today + timedelta(days=31)
        self.charges = [charge for row in self.rows for charge in self.charged(row)]

    def row(self, number: int) -> dict[str, Any]:
        pick = self.random
        period = pick.choices(PERIODS, [70, 10, 8, 6, 6])[0]
        due_day = self.today + timedelta(days=pick.randint(1, 45))
        row: dict[str, Any] = {
            "external_id": f"OLD-{number:06}",
            "customer_id": f"C-{number:06}",
            "phone": f"+79{pick.randint(0, 9):1}{number:08}",
            "name": f"Клиент {number}",
            "tariff": self.offers[period].tariff.code,
            "quantity": pick.choice(["", "1", "2", "7"]),
            "price": pick.choice(["", "99,00", "149,90", "1 234,56"]),
            "next_charge_date": due_day,
            "token": self.saved,
            "card": "•• 4477",
            "keys": f"KEY-{number:06}",
            "_period": period,
            "_keeps": due_day.day,
        }
        last = calendar.monthrange(due_day.year, due_day.month)[1]
        if period[1] in {"month", "year"} and due_day.day == last and last < 31:
            row["cycle_day"], row["_keeps"] = "31", 31
        if pick.random() < 0.2:
            row["discount_percent"] = pick.choice(["10", "33", "12,5"])
        if pick.random() < 0.1:
            row["discount_amount"] = "15,00"
        if pick.random() < 0.1:
            row["discount_until"] = due_day + timedelta(days=pick.randint(1, 40))
        if pick.random() < 0.03:
            row["end_date"] = due_day + timedelta(days=pick.randint(1, 3) * 14)
        return row

    def make_addon(self, main: dict[str, Any], extra: dict[str, Any]) -> None:
        for name in ("customer_id", "phone", "tariff", "next_charge_date", "cycle_day", "_period", "_keeps"):
            if name in main:
                extra[name] = main[name]
            else:
                extra.pop(name, None)
        for one in (main, extra):
            one.pop("end_date", None)
            one.pop("discount_until", None)
        extra["parent_external_id"] = main["external_id"]

    def charged(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        (count, unit), day, found = row["_period"], row["next_charge_date"], []
        while day < self.end and day < row.get("end_date", date.max):
            following = later(day, count, unit, row["_keeps"])
            over = row.get("end_date", date.max)
            whole = Decimal((row["price"] or "299,00").replace(" ", "").replace(",", ".")) * int(
                row["quantity"] or 1
            )
            share = Decimal(1)
            if over < following:
                share = (Decimal((over - day).days) / Decimal((following - day).days)).quantize(
                    Decimal("0.000000001"), ROUND_HALF_UP
                )
            gross, off = kopecks(whole * share), Decimal(0)
            if day < row.get("discount_until", date.max):
                percent = Decimal(row.get("discount_percent", "0").replace(",", "."))
                fixed = Decimal(row.get("discount_amount", "0").replace(",", "."))
                off = min(gross, kopecks(gross * percent / 100) + kopecks(fixed * share))
            if gross > off:
                found.append({"external_id": row["external_id"], "day": day, "amount": gross - off})
            day = following
        return found


def told(run: ShadowRun) -> Counter[str]:
    return Counter(one.kind for one in shadow.read_back(run))


def plant(old: OldSystem) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Differences of every kind, each on a subscription of its own; and how many of each class they must give."""
    rows = [dict(one) for one in old.charges]
    single = [key for key, count in Counter(one["external_id"] for one in rows).items() if count == 1]
    by_id = {one["external_id"]: one for one in rows}
    monthly = {row["external_id"] for row in old.rows if row["_period"] == (1, "month")}
    picked = iter([key for key in single if key in monthly])
    wanted: Counter[str] = Counter()

    def event(key: str, what: str, day: date, amount: Any = "") -> None:
        rows.append({"external_id": key, "day": day, "amount": amount, "event": what})

    for kind, event_name in (
        ("price_changed", "смена цены"),
        ("tariff_changed", "смена тарифа"),
        ("quantity_changed", "смена количества"),
        ("discounted", "скидка"),
        ("other_amount", ""),
    ):
        for _n in range(7):
            one = by_id[next(picked)]
            one["amount"] += Decimal("50.00")
            if event_name:
                event(one["external_id"], event_name, one["day"] - timedelta(days=1))
            wanted[kind] += 1
    for kind, event_name in (
        ("cancelled", "отмена"),
        ("declined", "отказ"),
        ("paused", "пауза"),
        ("missing_there", ""),
    ):
        for _n in range(6):
            one = by_id[next(picked)]
            rows.remove(one)
            if event_name:
                event(one["external_id"], event_name, one["day"])
            wanted[kind] += 1
    for kind, days in (("shifted", 2), ("other_day", 8)):
        for _n in range(5):
            one = by_id[next(picked)]
            one["day"] += (
                timedelta(days=days) if one["day"] + timedelta(days=days) < old.end else -timedelta(days=days)
            )
            wanted[kind] += 1
    one = by_id[next(picked)]
    one["amount"] += Decimal("0.01")
    wanted["rounded"] += 1
    quiet = next(row["external_id"] for row in old.rows if row["external_id"] not in by_id)
    rows.append({"external_id": quiet, "day": old.today, "amount": "10,00"})
    rows.append({"external_id": "GONE-1", "day": old.today, "amount": "10,00"})
    rows.append({"external_id": "NEW-1", "day": old.today, "amount": "10,00", "event": "новая"})
    event("ONCE-1", "разовая", old.today, "10,00")
    wanted.update(["extra_there", "unknown_there", "new_there", "one_off"])
    return rows, wanted


@pytest.mark.slow
def test_thousands_move_in(shop: Shop) -> None:
    shop.buy(shop.offer())
    saved = PaymentMethod.objects.latest("pk")
    old = OldSystem(shop, SIZE, saved.token)
    content = as_csv(old.rows)

    started = time.monotonic()
    found = look(content)
    looked = time.monotonic() - started
    assert [one.text for one in found.doubts if one.severity == "error"] == []
    loaded = load(shop, old.rows)
    took = time.monotonic() - started
    assert loaded.loaded["new"] == SIZE == BaseRow.objects.filter(state=BaseRowState.WAITING).count()
    assert took < 50, f"{SIZE} rows: looked at in {looked:.1f} s, loaded in {took:.1f} s"

    quiet = {model: model.objects.count() for model in (Subscription, Payment, Message, Due, Event)}  # type: ignore[attr-defined]
    charges = len(shop.charges())
    table = reading.dataset("old.csv", old_csv(old.charges))
    run = shadow.run(name="old.csv", old=reading.old_charges(table), start=old.today, end=old.end)
    assert (run.compared, run.equal, run.explained, run.unexplained) == (SIZE, len(old.charges), 0, 0)
    assert run.ours == run.theirs == sum(one["amount"] for one in old.charges)

    rows, wanted = plant(old)
    table = reading.dataset("old.csv", old_csv(rows))
    run = shadow.run(name="old.csv", old=reading.old_charges(table), start=old.today, end=old.end)
    assert told(run) == wanted
    unexplained = {kind for kind, (is_explained, _words) in shadow.CLASSES.items() if not is_explained}
    assert run.unexplained == sum(count for kind, count in wanted.items() if kind in unexplained)
    assert {model: model.objects.count() for model in quiet} == quiet, "nothing leaves in shadow"  # type: ignore[attr-defined]

    soon = BaseRow.objects.order_by("next_charge_date", "external_id")[0].next_charge_date
    batches = move(40, size=20)
    shop.deliver()
    moved = list(Subscription.objects.exclude(moved_from=None).order_by("current_period_end", "pk"))
    assert sum(batch.moved for batch in batches) == len(moved) >= 40
    assert Service.objects.filter(subscription__in=moved).count() == sum(one.quantity for one in moved)
    first = [one for one in moved if one.current_period_end == soon and one.parent_id is None]
    shop.until(soon)
    shop.hurry()
    made = shop.charges()[charges:]
    amounts = {one["external_id"]: one["amount"] for one in old.charges if one["day"] == soon}
    expected = Counter(str(sum((amounts[key] for key in family(one)), Decimal(0))) for one in first)
    assert Counter(charge["amount"] for charge in made) == expected, "each once, for the old price"
    shop.hurry()
    assert len(shop.charges()) == charges + len(first)
    assert {invoice.state for one in first for invoice in shop.invoices(one)} == {InvoiceState.PAID}
    assert {
        link.method.token for link in Payment.objects.filter(subscription_id__in=[one.pk for one in first])
    } == {saved.token}
    assert [str(one) for one in audit.run([shop.partner.pk])] == []
    after = reading.old_charges(reading.dataset("old.csv", old_csv(old.charges)))
    run = shadow.run(name="old.csv", old=after, start=old.today, end=old.end)
    assert set(told(run)) == {"after_move"}, "who is moved must not be charged there any more"


def family(one: Subscription) -> list[str]:
    mine = [one, *Subscription.objects.filter(parent=one)]
    return [row.external_id for row in BaseRow.objects.filter(subscription__in=mine)]


def test_a_hint_says_what_it_looks_like_and_does_not_explain(shop: Shop) -> None:
    offer, today = shop.offer(price="300.00"), clock.today()
    day = today + timedelta(days=5)
    base = {"tariff": offer.tariff.code, "next_charge_date": day, "token": "t"}
    load(
        shop,
        [
            {"external_id": "A-1", "customer_id": "1", "price": "200,00", **base},
            {"external_id": "A-2", "customer_id": "2", "price": "200,00", "discount_percent": "10", **base},
            {"external_id": "A-3", "customer_id": "3", "price": "200,00", **base},
        ],
    )
    old = [
        reading.OldCharge(2, "A-1", day, Decimal("300.00")),
        reading.OldCharge(3, "A-2", day, Decimal("200.00")),
        reading.OldCharge(4, "A-3", day, Decimal("600.00")),
    ]
    run = shadow.run(name="old", old=old, start=today, end=today + timedelta(days=31))
    hints = {one.external_id: (one.kind, one.hint) for one in shadow.read_back(run)}
    assert hints == {
        "A-1": ("other_amount", "похоже на цену тарифа"),
        "A-2": ("other_amount", "похоже, скидка не учтена"),
        "A-3": ("other_amount", "похоже на другое количество: 3"),
    }


def test_a_bad_period_or_file_of_charges_is_refused_in_words(shop: Shop) -> None:
    today = clock.today()
    with pytest.raises(Refused, match="bad_period"):
        shadow.run(name="", old=[], start=today, end=today)
    with pytest.raises(Refused, match="nothing_waits"):
        shadow.run(name="", old=[], start=today, end=today + timedelta(days=1))
    for content, word in (
        ("Номер подписки;Дата;Сумма\nA;вчера;10\n", "Строка 2"),
        ("Номер подписки;Дата;Сумма\nA;01.01.2027;\n", "ни суммы, ни события"),
        ("Номер подписки;Дата;Сумма\n;01.01.2027;10\n", "номер подписки и дата"),
    ):
        with pytest.raises(ValueError, match=word):
            reading.old_charges(reading.dataset("old.csv", content.encode()))


def test_the_file_comes_as_xlsx_as_well(shop: Shop) -> None:
    import io

    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Номер подписки", "Номер клиента", "Код тарифа", "Следующее списание", "Цена", "Телефон"])
    day = clock.today() + timedelta(days=9)
    sheet.append([1001, 17, shop.offer().tariff.code, day, 199.9, 79161112233])
    out = io.BytesIO()
    book.save(out)
    rows, found = reading.subscriptions(reading.dataset("base.xlsx", out.getvalue()))
    assert found == []
    assert (rows[0].external_id, rows[0].next_charge_date, rows[0].price) == ("1001", day, Decimal("199.90"))
    assert (rows[0].person.phone, rows[0].person.external_id) == ("+79161112233", "17")
    assert gateway(shop).kind == "payment"
