"""Orders from a file, CSV or XLSX: each row is looked at first, then placed in the background, once, whoever dies.

Nobody waits for a page: where an offer is paid by card, the order waits for its payment as any other.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import tablib
from django.db import models, transaction
from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps import journal
from apps.accounts import customers
from apps.billing.moving import reading
from apps.catalog import halts
from apps.catalog.models import Offer
from apps.core import bulk, clock, due, gather
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.tenancy import current_partner
from apps.orders import placing_many, rules, scheduling
from apps.orders.bulk_models import BulkOrder, BulkRow, BulkRowState, BulkState
from apps.orders.placing import LIMIT, Wanted, place_order

log = logging.getLogger(__name__)
KIND, PLACE = "orders.BulkOrder", "orders.bulk"
MOST_BYTES = 30 * 1024 * 1024
LARGEST = 20_000
"""Rows of one file."""
TURN = 200
"""Rows that one piece of due work places before others have their turn: together, in one transaction."""
HANDS = 4
"""So many pieces of due work at most place rows of one file, each in a worker of its own where there are as many."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, what is made of a cell, and what to write there."""

    key: str
    heading: str
    read: Callable[[Any], Any]
    about: Any


def answers(value: Any) -> dict[str, str]:
    """«код=ответ; код=ответ». Raises ValueError."""
    found = {}
    for part in reading.text(value).split(";"):
        code, sign, told = part.partition("=")
        if not part.strip():
            continue
        if not sign or not code.strip():
            raise ValueError(_("ответы пишут так: код=ответ; код=ответ"))
        found[code.strip()] = told.strip()
    return found


TARIFF = "Тариф"
COLUMNS = (
    Column("external_id", "Номер клиента", reading.code, gettext_lazy("номер клиента у партнёра")),
    Column("phone", "Телефон", reading.phone, gettext_lazy("+79161234567; нужен хотя бы один контакт")),
    Column("email", "Почта", reading.email, gettext_lazy("anna@example.ru")),
    Column("name", "Имя", reading.text, gettext_lazy("как обращаться")),
    Column("tariff", TARIFF, reading.code, gettext_lazy("код тарифа из каталога")),
    Column("quantity", "Количество", reading.whole, gettext_lazy("пусто — 1")),
    Column("scheduled_date", "Исполнить с", reading.day, gettext_lazy("27.11.2026; пусто — сразу")),
    Column("answers", "Ответы", answers, gettext_lazy("код=ответ; код=ответ")),
)
_R = BulkRowState
_CONTACTS = ("external_id", "phone", "email", "name")


def look(*, name: str, content: bytes, actor: str = "") -> BulkOrder:
    """Reads a file and keeps its rows, the bad ones with their reasons; nothing is ordered yet.

    Raises ValueError, in Russian, for what is no such table.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(_("Файл больше 30 МБ: разделите его"))
    table = reading.dataset(name, content)
    if len(table) > LARGEST:
        raise ValueError(_("В файле больше %d строк: разделите его") % LARGEST)
    columns = _columns(table)
    offers = {one.tariff.code: one for one in Offer.objects.listed(current_partner().pk)}
    halted = halts.explain(offers.values())
    with transaction.atomic():
        made = BulkOrder(name=name[:200], actor=actor, created_at=clock.now())
        rows = [
            _row(made, line, columns, cells, offers, halted)
            for line, cells in enumerate(table, start=2)
            if any(reading.text(cell) for cell in cells)
        ]
        made.rows, made.refused = len(rows), sum(one.state == BulkRowState.REFUSED for one in rows)
        if not rows:
            raise ValueError(_("В файле нет ни одной строки"))
        made.save(force_insert=True)
        bulk.copy_objects(BulkRow, rows)
    return made


def _columns(table: tablib.Dataset) -> list[Column]:
    by_heading = {column.heading.lower(): column for column in COLUMNS}
    headings = [str(heading or "").strip().lower() for heading in table.headers or []]
    if strangers := [heading for heading in headings if heading not in by_heading]:
        raise ValueError(_("Непонятные столбцы: %s") % ", ".join(one[:40] for one in strangers[:10]))
    if len(set(headings)) < len(headings) or TARIFF.lower() not in headings:
        raise ValueError(_("Нужен столбец «Тариф», и каждый столбец один раз"))
    return [by_heading[heading] for heading in headings]


def _row(
    made: BulkOrder,
    line: int,
    columns: list[Column],
    cells: Any,
    offers: dict[str, Offer],
    halted: dict[int, halts.Halt],
) -> BulkRow:
    row = BulkRow(id=uuid7(), bulk=made, line=line, state=BulkRowState.WAITING.value, person={})
    try:
        values = {column.key: _read(column, cell) for column, cell in zip(columns, cells, strict=True)}
        row.person = {key: values[key] for key in _CONTACTS if values.get(key)}
        row.offer = _checked(row, values, offers)
        halt = halted.get(row.offer.pk, halts.OPEN)
        if halt.is_closed:
            # Nothing is wrong with the row: it may be tried again (`again`).
            row.state, row.reason = BulkRowState.REFUSED.value, halt.words[:300]
    except ValueError as error:
        row.state, row.reason = BulkRowState.REFUSED.value, str(error)[:300]
    except Refused as refusal:
        row.state, row.reason = BulkRowState.REFUSED.value, str(refusal.message)[:300]
    return row


def _read(column: Column, cell: Any) -> Any:
    try:
        return column.read(cell)
    except ValueError as error:
        raise ValueError(f"{column.heading}: {error}") from None


def _checked(row: BulkRow, values: dict[str, Any], offers: dict[str, Offer]) -> Offer:
    if not any(row.person.get(key) for key in ("external_id", "phone", "email")):
        raise ValueError(_("нет ни телефона, ни почты, ни номера клиента"))
    offer = offers.get(values.get("tariff") or "")
    if offer is None:
        raise ValueError(_("тариф не продаётся: %s") % (values.get("tariff") or "—"))
    row.quantity = values.get("quantity") or 1
    if row.quantity > LIMIT:
        raise ValueError(_("Количество: от 1 до 99"))
    row.scheduled_date = values.get("scheduled_date")
    if row.scheduled_date is not None and row.scheduled_date <= clock.today():
        raise ValueError(_("Дата исполнения уже прошла"))
    told = rules.answers(offer, values.get("answers") or {})
    row.answers_text = json.dumps(told, ensure_ascii=False) if told else ""
    return offer


def start(made: BulkOrder, *, actor: str = "") -> BulkOrder:
    """Places its good rows in the background. Raises Refused `bulk_not_waiting`."""
    with transaction.atomic():
        made = BulkOrder.objects.select_for_update().get(pk=made.pk)
        if made.state != BulkState.LOOKED:
            raise Refused("bulk_not_waiting", _("Этот файл уже оформляют"))
        _begin(made, "bulk.started", actor)
    return made


def refused_before(made: BulkOrder) -> models.QuerySet[BulkRow]:
    """Rows that were read well and could not be placed: what was not sold then may be now."""
    return made.lines.filter(state=BulkRowState.REFUSED, offer__isnull=False)


def again(made: BulkOrder, *, actor: str = "") -> BulkOrder:
    """Tries such rows of a file once more, in the background. Raises Refused `bulk_not_done` and `nothing_again`."""
    with transaction.atomic():
        made = BulkOrder.objects.select_for_update().get(pk=made.pk)
        if made.state != BulkState.DONE:
            raise Refused("bulk_not_done", _("Файл ещё не оформлен до конца"))
        tried = refused_before(made).update(state=BulkRowState.WAITING, reason="")
        if not tried:
            raise Refused(
                "nothing_again", _("Повторять нечего: остальные строки исправьте и загрузите файлом")
            )
        made.refused -= tried
        made.done_at = None
        _begin(made, "bulk.again", actor)
    return made


def _begin(made: BulkOrder, action: str, actor: str) -> None:
    made.state = BulkState.GOING
    made.save(update_fields=["state", "refused", "done_at"])
    now = clock.wall()
    due.schedule_many(PLACE, [(key, now, None) for key in _hands(made)])
    journal.record(action, KIND, made.pk, actor=actor, data={"rows": made.left})


def _hands(made: BulkOrder) -> list[UUID]:
    """What its due work is named by: the file, and as many of its rows as it takes to place it side by side."""
    helped = min(-(-made.left // TURN), HANDS) - 1
    rows = made.lines.filter(state=_R.WAITING).order_by("line").values_list("pk", flat=True)
    return [made.pk, *rows[: max(helped, 0)]]


def place(hand_id: UUID) -> None:
    """Due work of a file, named by it or by one of its rows (`_hands`): places the next rows that nobody has in hand.

    Together, or each by itself; planned again while there are more. Who finds all that is left in another's hands is
    not needed any more: that one goes on, after its death as well.
    """
    bulk_id = BulkRow.objects.filter(pk=hand_id).values_list("bulk_id", flat=True).first() or hand_id
    keys = _place_next(bulk_id)
    with transaction.atomic():
        made = BulkOrder.objects.select_for_update().get(pk=bulk_id)
        found = BulkRow.objects.filter(bulk=made).order_by().values_list("state").annotate(Count("pk"))
        counts = dict(found)
        made.placed, made.refused = (counts.get(one.value, 0) for one in (_R.PLACED, _R.REFUSED))
        if made.left:
            if keys:
                due.schedule(PLACE, hand_id, clock.wall(), wall=True)
        elif made.state != BulkState.DONE:
            made.state, made.done_at = BulkState.DONE, clock.now()
        made.save()


def _place_next(bulk_id: UUID) -> list[UUID]:
    """Takes the next rows, in one transaction with their orders; gives their keys."""
    waiting = BulkRow.objects.filter(bulk=bulk_id, state=BulkRowState.WAITING).order_by("line")
    keys: list[UUID] = []
    try:
        with transaction.atomic(), gather.gathering(inserts=True):
            rows = list(
                waiting.select_for_update(of=("self",), skip_locked=True).select_related("bulk")[:TURN]
            )
            keys = [one.pk for one in rows]
            _place_rows(rows)
    except Exception as error:
        if not keys:
            raise
        log.info("%d rows are placed in halves: %r", len(keys), error)
        middle = (len(keys) + 1) // 2
        for half in (keys[:middle], keys[middle:]):
            gather.halved(half, _place_together, place_row)
    return keys


def _place_together(row_ids: Sequence[UUID]) -> None:
    """Places rows in the caller's batch; raises where one of them cannot be placed so."""
    held = BulkRow.objects.select_for_update(of=("self",)).filter(pk__in=bulk.these("uuid", row_ids))
    rows = held.select_related("bulk").order_by("pk")
    _place_rows([one for one in rows if one.state == BulkRowState.WAITING])


def _place_rows(rows: Sequence[BulkRow]) -> None:
    asked = [
        placing_many.Asked(
            person=row.person,
            wanted=Wanted(row.offer_id, row.quantity, answers=json.loads(row.answers_text or "{}")),
            request_key=f"bulk:{row.pk}",
            scheduled_at=_begins(row),
        )
        for row in rows
        if row.offer_id is not None
    ]
    if len(asked) < len(rows):
        raise gather.Apart("A row has no offer")
    placed = placing_many.place(asked, actor=rows[0].bulk.actor) if rows else []
    nobody = BulkRow._meta.get_field("person").get_prep_value({})
    bulk.update(
        BulkRow,
        ["order", "state", "person", "answers_text"],
        [
            (row.pk, order.pk, BulkRowState.PLACED.value, nobody, "")
            for row, order in zip(rows, placed, strict=True)
        ],
    )


def place_row(row_id: UUID) -> None:
    """Places one row, or writes down why not. Whoever comes second waits for the first, and finds it done."""
    try:
        with transaction.atomic():
            row = BulkRow.objects.select_for_update(of=("self",)).select_related("bulk").get(pk=row_id)
            if row.state != BulkRowState.WAITING or row.offer_id is None:
                return
            customer, _is_new = customers.find_or_register(**row.person, verified=True)
            row.order = place_order(
                customer=customer,
                offer=row.offer_id,
                quantity=row.quantity,
                answers=json.loads(row.answers_text or "{}"),
                actor=row.bulk.actor,
                request_key=f"bulk:{row.pk}",
                scheduled_at=_begins(row),
            )
            row.state, row.person, row.answers_text = BulkRowState.PLACED, {}, ""
            row.save()
    except Refused as refusal:
        BulkRow.objects.filter(pk=row_id, state=BulkRowState.WAITING).update(
            state=BulkRowState.REFUSED, reason=str(refusal.message)[:300]
        )


def _begins(row: BulkRow) -> datetime | None:
    return scheduling.morning(row.scheduled_date) if row.scheduled_date else None


def forget_old() -> None:
    """A file that nobody placed within a day goes, with whom it names."""
    old = BulkOrder.objects.filter(created_at__lt=clock.now() - timedelta(days=1), state=BulkState.LOOKED)
    BulkRow.objects.filter(bulk__in=old).delete()
    old.delete()
