"""Usage as providers tell it: a file is read row by row, each of a service that is the provider's own."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID
from zipfile import BadZipFile

from django.db import transaction
from django.utils.translation import gettext as _

from apps import journal
from apps.core import bulk, clock
from apps.core.errors import Refused
from apps.providers.models import Provider
from apps.providers.portal.models import Entitlement, UsageFile, UsageRow

KIND = "providers.UsageFile"
MOST_ROWS, MOST_BYTES, SHOWN = 50_000, 20_000_000, 500
HEADINGS = {
    "service": ("услуга", "service", "service_id", "request_id", "запрос", "номер услуги", "номер запроса"),
    "month": ("месяц", "период", "month", "period"),
    "quantity": ("количество", "quantity", "usage", "потребление"),
    "unit": ("единица", "unit"),
}
Row = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Read:
    """One row that can be read, before it is known whose it is."""

    line: int
    named: UUID
    month: date
    quantity: Decimal
    unit: str


def load(*, provider: Provider, name: str, content: bytes, actor: str) -> UsageFile:
    """Keeps the good rows of a CSV or XLSX file, and names the bad ones with their reasons.

    The same file again is the same, and adds nothing. Raises Refused `bad_file` where no table can be read.
    """
    digest = hashlib.sha256(content).hexdigest()
    known = UsageFile.objects.filter(provider=provider, fingerprint=digest).first()
    if known is not None:
        return known
    errors: list[list[Any]] = []
    found = _checked(rows_of(name, content, HEADINGS, ("service", "month", "quantity")), errors)
    with transaction.atomic():
        # Two loads of one file, or of one service's month, at once: the second waits and sees the first.
        Provider.objects.select_for_update(no_key=True).get(pk=provider.pk)
        file, is_new = UsageFile.objects.get_or_create(
            provider=provider,
            fingerprint=digest,
            defaults={"name": name[:200], "loaded_at": clock.wall(), "loaded_by": actor[:100]},
        )
        if not is_new:
            return file
        rows = _matched(provider, file, found, errors)
        UsageRow.objects.bulk_create(rows, batch_size=2000)
        file.rows, file.errors = len(rows), sorted(errors)[:SHOWN]
        file.save(update_fields=["rows", "errors"])
        counts = {"rows": len(rows), "errors": len(errors), "provider": provider.code}
        journal.record("usage.loaded", KIND, file.pk, actor=actor, data=counts)
    return file


def _checked(rows: Iterable[Row], errors: list[list[Any]]) -> list[_Read]:
    found = []
    for line, row in rows:
        try:
            found.append(
                _Read(
                    line,
                    _id(row.get("service")),
                    _month(row.get("month")),
                    _quantity(row.get("quantity")),
                    str(row.get("unit") or "").strip()[:20],
                )
            )
        except ValueError as error:
            errors.append([line, str(error)])
    return found


def _matched(
    provider: Provider, file: UsageFile, found: Sequence[_Read], errors: list[list[Any]]
) -> list[UsageRow]:
    """Rows of services that are this provider's, each service's month once."""
    named = bulk.these("uuid", {one.named for one in found})
    mine = Entitlement.objects.filter(provider_id=provider.pk)
    by_id: dict[UUID, Entitlement] = {}
    for field in ("request_id", "service_id"):
        for right in mine.filter(**{f"{field}__in": named}):
            by_id[getattr(right, field)] = right
    services = bulk.these("uuid", {right.service_id for right in by_id.values()})
    there = set(UsageRow.objects.filter(service_id__in=services).values_list("service_id", "month", "unit"))
    rows = []
    for one in found:
        right_of = by_id.get(one.named)
        if right_of is None:
            errors.append([one.line, _("Такой услуги этого поставщика нет")])
        elif (key := (right_of.service_id, one.month, one.unit)) in there:
            errors.append([one.line, _("За этот месяц эта услуга уже есть")])
        else:
            there.add(key)
            rows.append(_row(file, provider, right_of, one))
    return rows


def _row(file: UsageFile, provider: Provider, right: Entitlement, one: _Read) -> UsageRow:
    changed = right.changed_at.date().replace(day=1)
    was_over = right.state not in {"active", "suspended"} and one.quantity > 0 and one.month > changed
    return UsageRow(
        file=file,
        provider_id=provider.pk,
        partner_id=right.partner_id,
        service_id=right.service_id,
        month=one.month,
        quantity=one.quantity,
        unit=one.unit,
        doubt=_("Услуга тогда уже не действовала") if was_over else "",
    )


# -- reading -----------------------------------------------------------------------------------------


def rows_of(
    name: str, content: bytes, headings: Mapping[str, Sequence[str]], needed: Sequence[str]
) -> list[Row]:
    """Lines of a CSV or XLSX table, by the names of its columns. Raises Refused `bad_file`."""
    if len(content) > MOST_BYTES:
        raise Refused("bad_file", _("Файл больше 20 МБ"), status=400)
    table = _xlsx(content) if name.lower().endswith(".xlsx") else _csv(content)
    if not table:
        raise Refused("bad_file", _("В файле нет строк"), status=400)
    (_line, heading), *rest = table
    places = {
        field: place
        for place, title in enumerate(heading)
        for field, known in headings.items()
        if str(title or "").strip().lower() in known
    }
    if missing := [headings[field][0] for field in needed if field not in places]:
        raise Refused("bad_file", _("Нет колонок: %s") % ", ".join(missing), status=400)
    if len(rest) > MOST_ROWS:
        raise Refused("bad_file", _("В файле больше %d строк") % MOST_ROWS, status=400)
    return [
        (line, {field: cells[place] if place < len(cells) else None for field, place in places.items()})
        for line, cells in rest
        if any(str(cell or "").strip() for cell in cells)
    ]


def _csv(content: bytes) -> list[tuple[int, list[Any]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1251", "replace")
    heading = text.lstrip().split("\n", 1)[0]
    delimiter = max(";\t,", key=heading.count)
    try:
        rows = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter)
        return [(rows.line_num, list(row)) for row in rows if row]
    except csv.Error:
        raise Refused("bad_file", _("Файл не разобран: нужен CSV или XLSX"), status=400) from None


def _xlsx(content: bytes) -> list[tuple[int, list[Any]]]:
    # Here, because it takes a tenth of the time in which a process starts, and few ever read a file.
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        rows = book.worksheets[0].iter_rows(values_only=True)
        return [(line, list(row)) for line, row in enumerate(rows, 1)]
    except (BadZipFile, InvalidFileException, KeyError, ValueError, IndexError, OSError):
        raise Refused("bad_file", _("Файл не разобран: нужен CSV или XLSX"), status=400) from None


def _id(value: Any) -> UUID:
    try:
        return UUID(str(value or "").strip())
    except ValueError:
        raise ValueError(_("Номер услуги или запроса не разобран")) from None


def _month(value: Any) -> date:
    if isinstance(value, datetime | date):
        return date(value.year, value.month, 1)
    text = str(value or "").strip()
    for form in ("%Y-%m", "%m.%Y", "%Y-%m-%d", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, form).date().replace(day=1)  # noqa: DTZ007 - a month has no zone
        except ValueError:
            continue
    raise ValueError(_("Месяц: 2026-11 или 11.2026"))


def _quantity(value: Any) -> Decimal:
    try:
        found = Decimal(
            str("" if value is None else value).replace(",", ".").replace(" ", "").replace("\xa0", "")
        )
    except InvalidOperation:
        raise ValueError(_("Количество не разобрано")) from None
    if not found.is_finite() or found < 0 or found >= Decimal(10) ** 12:
        raise ValueError(_("Количество: от нуля"))
    return found.quantize(Decimal("0.0001"))
