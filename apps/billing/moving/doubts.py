"""Every doubt that a file of an old system may raise: what it is called, how grave it is, and who raises it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.accounts import contacts, many
from apps.accounts.models import Customer
from apps.billing.engine import Cycle
from apps.billing.periods import NOTICE
from apps.catalog.models import Delivery, Offer
from apps.core.money import Money

if TYPE_CHECKING:
    from apps.billing.moving.reading import Row

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES: dict[str, Any] = {ERROR: _("Ошибка"), WARNING: _("Внимание"), NOTE: _("К сведению")}
MOST = 99
"""Pieces of one subscription."""

# With an error a row is not loaded; a warning wants a look; a note only tells.
CODES: dict[str, tuple[str, Any]] = {
    "bad_cell": (ERROR, _("Ячейка не читается")),
    "no_id": (ERROR, _("Нет номера подписки")),
    "duplicate_id": (ERROR, _("Номер подписки повторяется в файле")),
    "no_contact": (ERROR, _("Нет ни телефона, ни почты, ни номера клиента")),
    "duplicate_contact": (ERROR, _("Телефон или почта в файле у разных клиентов")),
    "customer_conflict": (ERROR, _("Контакты принадлежат разным нашим клиентам")),
    "bad_company": (ERROR, _("Неверный ИНН или реквизиты")),
    "unknown_tariff": (ERROR, _("Тарифа нет в каталоге")),
    "not_offered": (ERROR, _("Тариф не открыт партнёру в матрице")),
    "no_date": (ERROR, _("Нет даты следующего списания")),
    "date_past": (ERROR, _("Дата следующего списания прошла или сегодня")),
    "bad_period": (ERROR, _("Оплаченный период заканчивается раньше, чем начался")),
    "bad_quantity": (ERROR, _("Количество: от 1 до 99")),
    "bad_discount": (ERROR, _("Скидка больше 100 %")),
    "token_without_gateway": (ERROR, _("Токен есть, а шлюз не выбран")),
    "unknown_parent": (ERROR, _("Основной подписки нет ни в файле, ни среди загруженных")),
    "parent_differs": (ERROR, _("У дополнения другой клиент, период или день списания, чем у основной")),
    "bad_provider_id": (ERROR, _("Номер у поставщика — не UUID")),
    "too_many_keys": (ERROR, _("Ключей больше, чем услуг в подписке")),
    "duplicate_key": (ERROR, _("Ключ или номер у поставщика повторяется в файле")),
    "price_differs": (WARNING, _("Цена не та, что у тарифа")),
    "price_zero": (WARNING, _("После скидки списывать нечего")),
    "period_longer": (WARNING, _("Оплаченный период длиннее, чем у тарифа")),
    "period_shorter": (WARNING, _("Оплаченный период короче, чем у тарифа")),
    "date_far": (WARNING, _("Следующее списание дальше, чем через период")),
    "cycle_day_differs": (WARNING, _("День списания не сходится с датой следующего списания")),
    "no_token": (WARNING, _("Нет сохранённого способа: клиенту придётся оплатить самому")),
    "notice_late": (WARNING, _("До списания меньше трёх дней: уведомить за 72 часа не успеем")),
    "no_provider_id": (WARNING, _("Нет номера у поставщика: продлевать услугу придётся вручную")),
    "ends_unpaid": (NOTE, _("Закончится без новых списаний")),
    "discount_over": (NOTE, _("Скидка закончится раньше следующего списания")),
    "customer_exists": (NOTE, _("Клиент у нас уже есть: подписка станет его")),
    "same_customer": (NOTE, _("У клиента несколько подписок")),
    "will_change": (NOTE, _("Уже загружена: строка заменит прежнюю")),
    "already_moved": (NOTE, _("Уже перенесена: строка ничего не изменит")),
}


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing that is odd about a line of a file."""

    line: int
    code: str
    external_id: str = ""
    detail: str = ""

    @property
    def severity(self) -> str:
        """`error`, `warning` or `note`."""
        return CODES[self.code][0]

    @property
    def text(self) -> str:
        """What is odd, in words."""
        told = str(CODES[self.code][1])
        return f"{told}: {self.detail}" if self.detail else told

    def kept(self) -> list[Any]:
        """As JSON."""
        return [self.line, self.code, self.external_id, self.detail]


@dataclass(frozen=True, slots=True)
class Known:
    """What a file is looked at against: the catalogue's terms here, and what was loaded before."""

    today: date
    offers: Mapping[str, Offer]
    tariffs: frozenset[str]
    """Codes that are in the catalogue, offered to the partner or not."""
    rows: Mapping[str, tuple[str, str]]
    """By the old system's id: state and fingerprint of what was loaded."""
    parents: Mapping[str, tuple[date, int]]
    """Of what was loaded: its next charge date and cycle day."""
    has_gateway: bool


def of_file(rows: Sequence["Row"], known: Known) -> Iterator[Doubt]:
    """All that is odd about rows that could be read."""
    counts = Counter(row.external_id for row in rows if row.external_id)
    by_id = {row.external_id: row for row in rows}
    handed = Counter(one for row in rows for one in (*row.keys, *row.provider_ids))
    for row in rows:
        if not row.external_id:
            yield Doubt(row.line, "no_id")
        elif counts[row.external_id] > 1:
            yield Doubt(row.line, "duplicate_id", row.external_id)
        yield from _terms(row, known)
        yield from _parent(row, by_id, known)
        yield from _delivered(row, known)
        if any(handed[one] > 1 for one in (*row.keys, *row.provider_ids)):
            yield Doubt(row.line, "duplicate_key", row.external_id)
    yield from _people(rows)


def _terms(row: "Row", known: Known) -> Iterator[Doubt]:
    def doubt(code: str, detail: object = "") -> Doubt:
        return Doubt(row.line, code, row.external_id, str(detail))

    if row.quantity is not None and not 1 <= row.quantity <= MOST:
        yield doubt("bad_quantity", row.quantity)
    if row.discount_percent > 100:
        yield doubt("bad_discount", f"{row.discount_percent} %")
    offer = known.offers.get(row.tariff)
    if offer is None:
        yield doubt("not_offered" if row.tariff in known.tariffs else "unknown_tariff", row.tariff)
    else:
        yield from _money(row, offer, doubt)
    if row.next_charge_date is None:
        yield doubt("no_date")
    else:
        yield from _dates(row, row.next_charge_date, offer, known.today, doubt)
    if row.token and not known.has_gateway:
        yield doubt("token_without_gateway")
    if not row.token and not row.parent_external_id and not row.person.is_company:
        yield doubt("no_token")


def _money(row: "Row", offer: Offer, doubt: Any) -> Iterator[Doubt]:
    if row.price is not None and row.price != offer.unit_price:
        told = _("{mine} в файле, {listed} по тарифу")
        yield doubt("price_differs", str(told).format(mine=Money(row.price), listed=offer.money))
    whole = (offer.unit_price if row.price is None else row.price) * (row.quantity or 1)
    if whole - whole * row.discount_percent / 100 - row.discount_amount <= 0:
        yield doubt("price_zero", whole)


def _dates(row: "Row", due: date, offer: Offer | None, today: date, doubt: Any) -> Iterator[Doubt]:
    if due <= today:
        yield doubt("date_past", f"{due:%d.%m.%Y}")
    elif due < today + NOTICE:
        yield doubt("notice_late", f"{due:%d.%m.%Y}")
    if row.period_start is not None and row.period_start >= due:
        yield doubt("bad_period", f"{row.period_start:%d.%m.%Y} – {due:%d.%m.%Y}")
    if row.end_date is not None and row.end_date <= due:
        yield doubt("ends_unpaid", f"{row.end_date:%d.%m.%Y}")
    has_discount = row.discount_percent or row.discount_amount
    if has_discount and row.discount_until is not None and row.discount_until <= due:
        yield doubt("discount_over", f"{row.discount_until:%d.%m.%Y}")
    last = (due.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    if row.cycle_day is not None and min(row.cycle_day, last.day) != due.day:
        yield doubt("cycle_day_differs", f"{row.cycle_day}, {due:%d.%m.%Y}")
    if offer is not None:
        yield from _length(row, cycle_of(row, due, offer), today, doubt)


def _length(row: "Row", cycle: Cycle, today: date, doubt: Any) -> Iterator[Doubt]:
    before = cycle.bill_date(-1)
    told = f"{row.period_start:%d.%m.%Y}" if row.period_start else ""
    if row.period_start is not None and row.period_start < before:
        yield doubt("period_longer", told)
    elif row.period_start is not None and row.period_start > before:
        yield doubt("period_shorter", told)
    if before > today:
        yield doubt("date_far", f"{cycle.anchor:%d.%m.%Y}")


def cycle_of(row: "Row", due: date, offer: Offer) -> Cycle:
    """The bill dates from the next one on, on the day of the month that the old system keeps to."""
    version = offer.current_version()
    return Cycle(due, version.period_count, version.period_unit, cycle_day(row, due))


def cycle_day(row: "Row", due: date) -> int:
    """The day given, where the next charge falls on it in its month; else the day of the next charge."""
    last = (due.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    if row.cycle_day is not None and min(row.cycle_day, last.day) == due.day:
        return row.cycle_day
    return due.day


def _parent(row: "Row", by_id: Mapping[str, "Row"], known: Known) -> Iterator[Doubt]:
    if not row.parent_external_id or row.next_charge_date is None:
        return
    parent = by_id.get(row.parent_external_id)
    if parent is not None:
        same = (
            parent.person.contacts == row.person.contacts
            and parent.next_charge_date == row.next_charge_date
            and not parent.parent_external_id
            and _same_period(row, parent, known)
        )
        if not same:
            yield Doubt(row.line, "parent_differs", row.external_id, row.parent_external_id)
    elif (loaded := known.parents.get(row.parent_external_id)) is None:
        yield Doubt(row.line, "unknown_parent", row.external_id, row.parent_external_id)
    elif loaded[0] != row.next_charge_date:
        yield Doubt(row.line, "parent_differs", row.external_id, row.parent_external_id)


def _same_period(row: "Row", parent: "Row", known: Known) -> bool:
    offers = [known.offers.get(one.tariff) for one in (row, parent)]
    periods = {
        (one.current_version().period_count, one.current_version().period_unit) for one in offers if one
    }
    return len(periods) < 2


def _delivered(row: "Row", known: Known) -> Iterator[Doubt]:
    offer = known.offers.get(row.tariff)
    if offer is None:
        return
    product = offer.tariff.product
    pieces = (row.quantity or 1) * (len(offer.tariff.parts()) if product.delivery == Delivery.BUNDLE else 1)
    if max(len(row.keys), len(row.provider_ids)) > pieces:
        yield Doubt(row.line, "too_many_keys", row.external_id, str(pieces))
    for text in row.provider_ids:
        try:
            UUID(text)
        except ValueError:
            yield Doubt(row.line, "bad_provider_id", row.external_id, text[:40])
    if product.provider_id and not row.provider_ids and not row.keys:
        yield Doubt(row.line, "no_provider_id", row.external_id)


def _people(rows: Sequence["Row"]) -> Iterator[Doubt]:
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    known: set[tuple[str, str]] = set()
    for row in rows:
        for key in row.person.contacts.items():
            if key[0] != "external_id" and row.person.external_id:
                named[key].add(row.person.external_id)
    matches = many.find([row.person for row in rows])
    for row, match in zip(rows, matches, strict=True):
        if not row.person.contacts:
            yield Doubt(row.line, "no_contact", row.external_id)
        shared = [value for key, value in row.person.contacts.items() if len(named[key, value]) > 1]
        if shared:
            yield Doubt(row.line, "duplicate_contact", row.external_id, ", ".join(map(_masked, shared)))
        if row.person.is_company and (wrong := many.company_problem(row.person)):
            yield Doubt(row.line, "bad_company", row.external_id, wrong)
        if match.conflict:
            yield Doubt(row.line, "customer_conflict", row.external_id, match.conflict)
        elif match.customer is not None:
            yield Doubt(row.line, "customer_exists", row.external_id, _shown(match.customer))
        first = next(iter(row.person.contacts.items()), None)
        if first in known:
            yield Doubt(row.line, "same_customer", row.external_id, _masked(first[1]) if first else "")
        elif first:
            known.add(first)


def _shown(customer: Customer) -> str:
    return _masked(customer.phone or customer.email) or customer.external_id


def _masked(contact: str) -> str:
    """A report is kept longer than a customer who wants to be forgotten."""
    return contacts.masked(contact) if "@" in contact or contact.startswith("+") else contact


def errors(found: Iterable[Doubt]) -> set[int]:
    """The lines that are not loaded."""
    return {one.line for one in found if one.severity == ERROR}
