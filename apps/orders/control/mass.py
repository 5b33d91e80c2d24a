"""Deeds of the board: chosen by a filter or one by one, the sum shown first, done in the background, each row once."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps import journal
from apps.core import bulk, clock, due, mass
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.mass import MassRowState, MassState, Summary
from apps.core.tenancy import current_partner_id, in_partner
from apps.orders.control.deeds import DEEDS
from apps.orders.models import Fulfilment, Service
from apps.providers.models import OpenRequest, RequestDeed, RequestDeedRow

KIND = "providers.RequestDeed"
WORK = "orders.request_deed"
MOST = 20_000
"""Requests of one deed."""
FAULT_POINTS = ("orders.deed-row-not-committed", "orders.deed-row-done")
"""Every commit boundary of a row."""


def create(
    *,
    kind: str,
    rows: QuerySet[OpenRequest],
    params: Mapping[str, Any],
    reason: str,
    actor: str,
    press: UUID | None = None,
) -> RequestDeed:
    """Fixes the list. What costs money is counted in the background first; nothing is done before `confirm`.

    `press`: the id (`ids.uuid7`) of the page on which it was chosen; pressed twice, it is one deed. Raises Refused:
    `bad_kind`, `nothing_chosen`, `too_many`, `no_reason`, `other_deed`.
    """
    if kind not in DEEDS:
        raise Refused("bad_kind", _("Такого действия нет"), status=400)
    if not reason.strip():
        raise Refused("no_reason", _("Напишите, почему: это увидят в истории заказов"), status=400)
    if known := _begun(press, kind, actor):
        return known
    return _made(kind, _chosen(rows, once=DEEDS[kind].is_costly), params, reason, actor, press)


def of_services(
    *,
    kind: str,
    services: QuerySet[Service],
    params: Mapping[str, Any],
    reason: str,
    actor: str,
    press: UUID | None = None,
) -> RequestDeed:
    """As `create`, for what customers of the current partner have: a whole batch of keys does not work.

    Raises Refused: `nothing_chosen`, `too_many`, `no_reason`, `other_deed`.
    """
    if not reason.strip():
        raise Refused("no_reason", _("Напишите, почему: это увидят в истории заказов"), status=400)
    if known := _begun(press, kind, actor):
        return known
    # The request that gave a service what it has is the fulfilment that did.
    columns = ("request_id", "name", "product_id")
    found = [
        (current_partner_id(), request_id, name[:40], product_id, Decimal("0.00"))
        for request_id, name, product_id in services.order_by("pk").values_list(*columns)[: MOST + 1]
    ]
    return _made(kind, _few(found), params, reason, actor, press)


def _begun(press: UUID | None, kind: str, actor: str) -> RequestDeed | None:
    """What this press has begun already: its rows may be gone from the board by now."""
    found = RequestDeed.objects.filter(pk=press).first() if press else None
    if found and (found.kind, found.asked_by, found.partner_id) != (kind, actor[:150], current_partner_id()):
        raise Refused("other_deed", _("Откройте эту страницу заново: с неё уже начато другое действие"))
    return found


def _made(
    kind: str,
    found: list[tuple[Any, ...]],
    params: Mapping[str, Any],
    reason: str,
    actor: str,
    press: UUID | None,
) -> RequestDeed:
    is_costly = DEEDS[kind].is_costly
    with transaction.atomic():
        given: dict[str, Any] = {
            "partner_id": current_partner_id(),
            "kind": kind,
            "params": dict(params),
            "reason": reason.strip()[:200],
            "state": MassState.COUNTING if is_costly else MassState.READY,
            "size": len(found),
            "asked_by": actor[:150],
            "created_at": clock.now(),
        }
        deed, is_new = RequestDeed.objects.get_or_create(pk=press or uuid7(), defaults=given)
        if not is_new:
            # Both clicks of a double one are under way.
            return _begun(press, kind, actor) or deed
        state = (MassRowState.NEW if is_costly else MassRowState.COUNTED).value
        bulk.copy(
            RequestDeedRow,
            ["id", "action", "partner_id", "request_id", "number", "product_id", "amount", "state", "result"],
            [(uuid7(), deed.pk, *row, state, "") for row in found],
        )
        journal.record("board.asked", KIND, deed.pk, actor=actor, data={"kind": kind, "size": deed.size})
        if is_costly:
            due.schedule(WORK, deed.pk, clock.wall(), wall=True)
    return deed


def _chosen(rows: QuerySet[OpenRequest], *, once: bool) -> list[tuple[Any, ...]]:
    """(partner, request, number, product, sum) each; of what was paid at once the sum stands once (`once`: the row)."""
    columns = ("partner_id", "request_id", "number", "product_id", "amount", "item_id", "invoice_id")
    found: list[tuple[Any, ...]] = []
    seen: set[tuple[Any, Any]] = set()
    for *row, amount, item, invoice in rows.order_by("partner_id", "request_id").values_list(*columns)[
        : MOST + 1
    ]:
        paid = item or invoice
        again = paid is not None and (row[0], paid) in seen
        seen.add((row[0], paid))
        if not (again and once):
            found.append((*row, Decimal("0.00") if again else amount))
    return _few(found)


def _few(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    if not found:
        raise Refused("nothing_chosen", _("Ничего не выбрано: возможно, всё уже исполнено"), status=400)
    if len(found) > MOST:
        raise Refused("too_many", _("Больше 20 000 исполнений за раз нельзя: сузьте фильтр"), status=400)
    return found


class _Requests(mass.Mass[RequestDeed, RequestDeedRow]):
    actions, rows, work_kind, faults = RequestDeed, RequestDeedRow, WORK, FAULT_POINTS
    nothing = gettext_lazy("Ни с одним исполнением это сделать нельзя")
    failed = gettext_lazy("Не получилось по нашей вине: посмотрите этот заказ отдельно")

    def where(self, row: RequestDeedRow) -> AbstractContextManager[Any]:
        return in_partner(row.partner_id)

    def count(self, action: RequestDeed, row: RequestDeedRow) -> None:
        if look := DEEDS[action.kind].look:
            row.amount = look(_fulfilment(row))

    def do(self, action: RequestDeed, row: RequestDeedRow) -> None:
        deed = DEEDS[action.kind]
        one = _fulfilment(row)
        if deed.look and (now := deed.look(one)) != row.amount:
            text = _("сумма изменилась после подтверждения: было {was}, стало {now}")
            raise Refused("sum_changed", text.format(was=row.amount, now=now))
        row.result = deed.do(one, action)[:300]

    def needs_second(self, action: RequestDeed, known: Summary) -> bool:
        if not DEEDS[action.kind].is_costly:
            return False
        return known.ready > settings.MASS_ACTION_ROWS or known.total > settings.MASS_ACTION_SUM

    def tell(self, verb: str, action: RequestDeed, actor: str, data: Mapping[str, Any]) -> None:
        journal.record(f"board.{verb}", KIND, action.pk, actor=actor, data=dict(data))


def _fulfilment(row: RequestDeedRow) -> Fulfilment:
    # Not locked: what a deed changes it locks itself, in the order in which others lock it too.
    found = Fulfilment.objects.select_related("service__subscription").filter(pk=row.request_id).first()
    if found is None:
        raise Refused("not_found", _("Такого исполнения больше нет"))
    return found


of_requests = _Requests()
confirm, drop, work = of_requests.confirm, of_requests.drop, of_requests.work
