"""The price list: imported exactly, previewed, refused as a whole where a row is wrong, exported and read back."""

import csv
import io
from decimal import Decimal

import openpyxl
import pytest

from apps.catalog.formats import PriceListCSV, PriceListXLSX
from apps.catalog.models import Category, Product, Tariff, TariffVersion
from apps.catalog.resources import TariffResource
from apps.core import clock
from tests.catalog.conftest import DATA, PROVIDERS, read, run

pytestmark = pytest.mark.usefixtures("catalogue")


def written() -> list[list[str]]:
    """The rows of the good file, as text."""
    text = (DATA / "price-list.csv").read_bytes().decode("cp1251")
    return list(csv.reader(io.StringIO(text), delimiter=";"))


def tariffs():
    return Tariff.objects.exclude(code__contains="-old-")


@pytest.mark.parametrize("name", ["price-list.csv", "price-list.xlsx"])
def test_price_list_imports_exactly(name):
    result = run(read(name))
    assert result.problems() == []
    assert result.totals["new"] == 27
    assert tariffs().count() == 27
    assert Product.objects.filter(tariffs__in=tariffs()).distinct().count() == 13
    providers = Product.objects.filter(tariffs__in=tariffs()).values_list("provider__name", flat=True)
    assert set(providers) == {*PROVIDERS, None}
    year = Tariff.objects.get(code="TELEMED-YEAR")
    assert (year.current.price, year.current.period, year.current.trial_days) == (
        Decimal(2990),
        "12 месяцев",
        0,
    )
    assert year.current.parameters == {"konsultaciy": "unlimited", "chlenov-semi": 4}
    assert (year.current.vat_code, str(year.product.category)) == ("none", "Здоровье")
    assert Tariff.objects.get(code="TELEMED-BASE").current.parameters == {"konsultaciy": 2}
    assert Tariff.objects.get(code="VPNCORP-25").current.price == Decimal("5490.50")
    assert Tariff.objects.get(code="PHONESAFE-W").current.period == "1 неделя"
    bundle = Tariff.objects.get(code="BUNDLE-HOME")
    assert [part.code for part in bundle.parts()] == ["KINO-M", "CLOUD-100", "AVIRUS-M"]
    # The whole file, cell by cell, thousands and blanks aside.
    exported = {row[6]: row for row in TariffResource().export(tariffs())}
    for row in written()[1:]:
        ours = exported[row[6]]
        price = Decimal(row[10].replace("\xa0", "").replace(",", "."))
        assert [str(cell or "") for cell in (*ours[:10], *ours[11:13])] == [*row[:10], *row[11:]]
        assert ours[10] == price
        # A file that does not say how trials begin: with a card.
        assert ours[13] == ("да" if row[9] else "")
    again = run(read("price-list.xlsx" if name.endswith("csv") else "price-list.csv"))
    assert again.totals["skip"] == 27


def test_preview_shows_old_and_new_price_and_writes_nothing():
    run(read("price-list.csv"))
    versions = TariffVersion.objects.count()
    sold = Tariff.objects.get(code="KINO-M").current
    sold.mark_sold(clock.wall())
    text = (DATA / "price-list.csv").read_bytes().decode("cp1251")
    changed = text.replace("14;399,00", "14;1 449,50").replace("1 год по", "Год по")
    product = "KINO;Онлайн-кинотеатр Премьера;Развлечения;Премьера Медиа;account;22%"
    changed += f"{product};KINO-W;Неделя;1 неделя;;99,00;;\r\n"
    dataset = PriceListCSV().create_dataset(changed.encode("cp1251"))
    preview = run(dataset, dry_run=True)
    assert (preview.totals["new"], preview.totals["update"], preview.totals["skip"]) == (1, 1, 26)
    row = next(row for row in preview.rows if row.is_update())
    assert row.code == "KINO-M"
    assert [(c.column, c.old, c.new) for c in row.changes] == [
        ("Цена, руб.", "399\N{NO-BREAK SPACE}₽", "1\N{NO-BREAK SPACE}449,50\N{NO-BREAK SPACE}₽")
    ]
    assert TariffVersion.objects.count() == versions
    run(PriceListCSV().create_dataset(changed.encode("cp1251")))
    kino = Tariff.objects.get(code="KINO-M")
    assert (kino.current.number, kino.current.price) == (2, Decimal("1449.50"))
    sold.refresh_from_db()
    assert (sold.number, sold.price) == (1, Decimal("399.00"))


def test_every_bad_row_is_named_and_nothing_is_written():
    before = (Tariff.objects.count(), Product.objects.count(), Category.objects.count())
    result = run(read("price-list-broken.csv"))
    problems = result.problems()
    assert [row.number for row in result.invalid_rows] == [3, 4, 5, 6, 7, 8]
    for line in (
        "Строка 3: Код тарифа: код «TELEMED-BASE» уже есть в строке 2",
        "Строка 4: Период: период «1 век» неизвестен",
        "Строка 5: Поставщик: поставщик «Нет такого» неизвестен",
        "Строка 5: Цена, руб.: цена «-399,00» отрицательная",
        "Строка 6: пустая строка",
        "Строка 7: НДС: ставки НДС «21%» нет, действуют: без НДС, 22%, 10%",
        "Строка 7: Пробный период, дней: «сто» — не целое число дней",
        "Строка 7: Цена, руб.: «12,345»: в цене больше двух знаков после запятой",
        "Строка 8: Артикул продукта: ячейка начинается с «=», как формула",
    ):
        assert any(problem.startswith(line) for problem in problems), (line, problems)
    assert len(problems) == 9
    assert result.missing_providers == ["Нет такого"]
    assert (Tariff.objects.count(), Product.objects.count(), Category.objects.count()) == before


@pytest.mark.parametrize("format_class", [PriceListCSV, PriceListXLSX])
def test_export_reads_back_without_change_and_runs_no_formula(format_class):
    run(read("price-list.csv"))
    tricky = Tariff.objects.get(code="AUDIO-M")
    tricky.name, tricky.description = {"ru": "=1+1"}, {"ru": "'@SUM(A1)"}
    tricky.save()
    exported = format_class().export_data(TariffResource().export(tariffs()))
    if format_class is PriceListCSV:
        assert exported.startswith(b"\xef\xbb\xbf")
        assert "2990,00" in exported.decode("utf-8-sig")
        cells = [
            c for row in csv.reader(io.StringIO(exported.decode("utf-8-sig")), delimiter=";") for c in row
        ]
    else:
        rows = list(openpyxl.load_workbook(io.BytesIO(exported)).active.iter_rows())
        cells = [cell.value for row in rows for cell in row if isinstance(cell.value, str)]
        assert all(isinstance(row[10].value, int | float) for row in rows[1:])
        assert not any(cell.data_type == "f" for row in rows for cell in row)
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    again = run(format_class().create_dataset(exported))
    assert again.problems() == []
    assert again.totals["skip"] == 27


def test_whether_a_trial_wants_a_card_is_told_by_the_file_or_stays():
    run(read("price-list.csv"))
    lines = (DATA / "price-list.csv").read_bytes().decode("cp1251").splitlines()
    head = f"{lines[0]};Пробный период с картой"
    kino = next(line for line in lines if ";KINO-M;" in line)
    year = next(line for line in lines if ";KINO-Y;" in line)

    def given(*rows):
        return run(PriceListCSV().create_dataset("\r\n".join((head, *rows)).encode("cp1251")))

    changed = given(f"{kino};нет", f"{year};нет")
    assert changed.problems() == []
    # A tariff without a trial has nothing to say of it.
    assert (changed.totals["update"], changed.totals["skip"]) == (1, 1)
    [change] = next(row for row in changed.rows if row.is_update()).changes
    assert (change.column, change.old, change.new) == ("Пробный период с картой", "да", "нет")
    assert Tariff.objects.get(code="KINO-M").current.trial_needs_method is False
    # Neither an empty cell nor a file without the column takes it back.
    assert given(f"{kino};").totals["skip"] == 1
    assert run(read("price-list.csv")).totals["skip"] == 27
    assert given(f"{kino};ага").problems() == [
        "Строка 2: Пробный период с картой: «ага»: нужно «да» или «нет»"
    ]


def test_a_file_that_is_no_price_list_is_refused_in_words():
    result = run(PriceListCSV().create_dataset("Товар;Цена\r\nКнига;1\r\n".encode("cp1251")))
    assert (
        result.problems()[0].startswith("['В файле нет столбцов: ") or "нет столбцов" in result.problems()[0]
    )
    with pytest.raises(ValueError, match="не файл XLSX"):
        PriceListXLSX().create_dataset(b"%PDF-1.4")
    with pytest.raises(ValueError, match="В файле нет строк"):
        PriceListCSV().create_dataset(b"")


def test_inconsistent_product_and_composition_are_named():
    text = (DATA / "price-list.csv").read_bytes().decode("cp1251")
    text = text.replace(
        "Облако;Хранение;Облако плюс;account;22%;CLOUD-1T;", "Облако;Хранение;Слово;account;22%;CLOUD-1T;"
    )
    text = text.replace("состав=KINO-M+CLOUD-100", "состав=KINO-M+CLOUD-999").replace("мест=5;", "мест=пять;")
    problems = run(PriceListCSV().create_dataset(text.encode("cp1251"))).problems()
    assert any("«Слово», а в строке 19 у этого же продукта «Облако плюс»" in line for line in problems), (
        problems
    )
    assert any("тарифа «CLOUD-999» из состава нет" in line for line in problems)
    run(read("price-list.csv"))
    problems = run(PriceListCSV().create_dataset(text.encode("cp1251"))).problems()
    assert any("мест: «пять»: нужно целое число" in line for line in problems), problems
