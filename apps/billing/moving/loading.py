"""A file is looked at, which writes nothing, and loaded: its rows wait beside the subscriptions, set by set."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import tablib
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.many import Person
from apps.billing.moving import doubts, reading
from apps.billing.moving.doubts import Doubt, Known
from apps.billing.moving.models import BaseImport, BaseRow, BaseRowState, ImportState
from apps.billing.moving.reading import Row
from apps.catalog.models import Offer, Tariff
from apps.connectors.models import Connection
from apps.core import bulk, clock
from apps.core.errors import Refused
from apps.core.fields import encrypt
from apps.core.ids import uuid7
from apps.core.tenancy import current_partner

KIND = "billing.BaseImport"
MOST_BYTES = 30_000_000


@dataclass(frozen=True, slots=True)
class Look:
    """A file as it was read, and every doubt about it; `good` are the rows that would be loaded."""

    rows: list[Row]
    doubts: list[Doubt]
    known: Known

    @property
    def good(self) -> list[Row]:
        """The rows without an error."""
        wrong = doubts.errors(self.doubts)
        return [row for row in self.rows if row.line not in wrong]

    def report(self) -> dict[str, Any]:
        """As it is kept: how many of each severity, and every doubt in the order of its line."""
        found = sorted(self.doubts, key=lambda one: (one.line, one.code))
        counts = {name: sum(one.severity == name for one in found) for name in doubts.SEVERITIES}
        return {**counts, "good": len(self.good), "doubts": [one.kept() for one in found]}


def look(table: tablib.Dataset, *, has_gateway: bool) -> Look:
    """Everything that is odd about a base; writes nothing. Raises ValueError for what is no base at all."""
    rows, found = reading.subscriptions(table)
    known = _known(rows, has_gateway=has_gateway)
    found += doubts.of_file(rows, known)
    for row in rows:
        loaded = known.rows.get(row.external_id)
        if loaded and loaded[0] == BaseRowState.MOVED:
            found.append(Doubt(row.line, "already_moved", row.external_id))
        elif loaded and loaded[1] != fingerprint(row):
            found.append(Doubt(row.line, "will_change", row.external_id))
    return Look(rows, found, known)


def _known(rows: Sequence[Row], *, has_gateway: bool) -> Known:
    codes = {row.tariff for row in rows}
    offers = (
        Offer.objects.filter(partner=current_partner().pk, tariff__code__in=codes, channel_code="")
        .select_related("tariff__current", "tariff__product")
        .filter(tariff__current__isnull=False)
    )
    wanted = {row.external_id for row in rows} | {row.parent_external_id for row in rows}
    loaded = BaseRow.objects.filter(external_id__in=bulk.these("text", wanted)).values_list(
        "external_id", "state", "fingerprint", "next_charge_date", "cycle_day"
    )
    found = list(loaded)
    return Known(
        today=clock.today(),
        offers={offer.tariff.code: offer for offer in offers},
        tariffs=frozenset(Tariff.objects.filter(code__in=codes).values_list("code", flat=True)),
        rows={key: (state, mark) for key, state, mark, _due, _day in found},
        parents={key: (due, day) for key, _state, _mark, due, day in found},
        has_gateway=has_gateway,
    )


def keep(*, name: str, content: bytes, connection: Connection | None, actor: str = "") -> BaseImport:
    """Looks at a file and keeps it with its doubts, to be loaded within a day. Raises ValueError for no base."""
    found = look(reading.dataset(name, content), has_gateway=connection is not None)
    return BaseImport.objects.create(
        name=name[:200],
        connection=connection,
        content=base64.b64encode(content).decode(),
        rows=len(found.rows),
        report=found.report(),
        actor=actor,
        created_at=clock.now(),
    )


def load_kept(made: BaseImport, *, actor: str = "") -> BaseImport:
    """Loads the good rows of a file that was kept, looked at anew. Raises Refused `base_not_waiting`."""
    if made.state == ImportState.LOADED or not made.content:
        raise Refused("base_not_waiting", _("Этот файл уже загружен или устарел: загрузите его снова"))
    table = reading.dataset(made.name, base64.b64decode(made.content))
    found = look(table, has_gateway=made.connection_id is not None)
    return load(name=made.name, look=found, connection=made.connection, actor=actor, source=made)


def gateways() -> list[Connection]:
    """Where saved methods of this partner may be known: its own gateways, and the operator's."""
    partner = current_partner()
    found = Connection.objects.filter(kind="payment", is_test=partner.is_sandbox)
    return [one for one in found.order_by("pk") if one.partner_id in {None, partner.pk}]


def fingerprint(row: Row) -> str:
    """Of all that a row says, wherever in the file it stands."""
    said = asdict(row)
    del said["line"]
    return hashlib.sha256(json.dumps(said, default=str, sort_keys=True).encode()).hexdigest()


def load(
    *, name: str, look: Look, connection: Connection | None, actor: str = "", source: BaseImport | None = None
) -> BaseImport:
    """Writes the good rows of a looked-at file, and says how many were new, changed, the same and left out.

    A row whose id is there already is that row: the same again changes nothing, one that was moved stays. Written
    by COPY and in single statements, however many. Raises Refused `nothing_to_load`.
    """
    if not look.good:
        raise Refused("nothing_to_load", _("В файле нет ни одной строки без ошибок"))
    with transaction.atomic():
        made = source or BaseImport(name=name[:200], created_at=clock.now(), actor=actor)
        made.state, made.loaded_at, made.content = ImportState.LOADED, clock.now(), ""
        made.connection, made.rows, made.report = connection, len(look.rows), look.report()
        made.save()
        made.loaded = _write(made, look)
        made.save(update_fields=["loaded"])
        journal.record("base.loaded", KIND, made.pk, actor=actor, data=made.loaded)
    return made


FIELDS = (
    "external_id",
    "parent_external_id",
    "source",
    "line",
    "fingerprint",
    "state",
    "person",
    "secrets",
    "connection",
    "offer",
    "tariff_version",
    "name",
    "price",
    "currency",
    "quantity",
    "discount_percent",
    "discount_amount",
    "discount_until",
    "period_start",
    "next_charge_date",
    "cycle_day",
    "started_date",
    "end_date",
)


def _write(made: BaseImport, look: Look) -> dict[str, int]:
    good = {row.external_id: row for row in look.good}
    # Who loads the same base at once waits here, and finds it loaded.
    there = {
        row.external_id: row
        for row in BaseRow.objects.select_for_update()
        .filter(external_id__in=bulk.these("text", good))
        .only("external_id", "state", "fingerprint")
        .order_by("external_id")
    }
    fresh, changed, counts = [], [], {"new": 0, "changed": 0, "same": 0, "moved": 0}
    names: dict[int, str] = {}
    for key, row in good.items():
        old = there.get(key)
        mark = fingerprint(row)
        what = _what(old, mark)
        counts[what] += 1
        if what == "new":
            fresh.append((uuid7(), *_values(row, mark, made, look.known, names)))
        elif what == "changed" and old is not None:
            changed.append((old.pk, *_values(row, mark, made, look.known, names)))
    bulk.copy(BaseRow, ["id", *FIELDS], fresh)
    bulk.update(BaseRow, FIELDS, changed)
    return {**counts, "left": len(look.rows) - len(good)}


def _what(old: BaseRow | None, mark: str) -> str:
    if old is None:
        return "new"
    if old.state == BaseRowState.MOVED:
        return "moved"
    return "same" if old.fingerprint == mark else "changed"


def _values(row: Row, mark: str, made: BaseImport, known: Known, names: dict[int, str]) -> tuple[Any, ...]:
    offer, due = known.offers[row.tariff], _day(row.next_charge_date)
    version = offer.current_version()
    start = row.period_start or doubts.cycle_of(row, due, offer).bill_date(-1)
    return (
        row.external_id,
        row.parent_external_id,
        made.pk,
        row.line,
        mark,
        BaseRowState.WAITING.value,
        encrypt(bulk.json_text(row.person.kept())),
        encrypt(bulk.json_text(_secrets(row))),
        made.connection_id,
        offer.pk,
        version.pk,
        names.get(offer.pk) or names.setdefault(offer.pk, _name(offer)),
        offer.unit_price if row.price is None else row.price,
        version.currency,
        row.quantity or 1,
        row.discount_percent,
        row.discount_amount,
        row.discount_until,
        start,
        due,
        doubts.cycle_day(row, due),
        row.started_date,
        row.end_date,
    )


def _secrets(row: Row) -> dict[str, Any]:
    known = {
        "token": row.token,
        "card": row.card,
        "keys": row.keys,
        "provider_ids": row.provider_ids,
        "url": row.url,
    }
    return {key: value for key, value in known.items() if value}


def _name(offer: Offer) -> str:
    with translation.override("ru"):
        return f"{offer.tariff.product}, {offer.tariff.name}"[:300]


def _day(day: date | None) -> date:
    if day is None:
        raise ValueError("A row without a date is not good")
    return day


def person_of(row: BaseRow) -> Person:
    """The customer of a row that waits."""
    return Person(**row.person)
