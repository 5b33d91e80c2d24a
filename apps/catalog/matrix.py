"""The matrix of offers, tariff × partner × channel: edits are compared with what stands there, then saved all at once.

Each edit carries the revision that its author saw. Where somebody has changed that offer meanwhile, nothing is saved.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps import journal
from apps.catalog.models import Offer, Payer, Tariff
from apps.core.errors import Refused
from apps.core.money import Money
from apps.partners.models import Partner

FIELDS = ("is_on_sale", "price", "on_sale_from", "on_sale_until", "payer")
MOST = 2000
"""Edits at once."""
Key = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Edit:
    """What one cell is to be; `revision` 0 where there was no offer."""

    partner_id: int
    tariff_id: int
    channel_code: str
    revision: int
    is_on_sale: bool
    price: Decimal | None
    on_sale_from: date | None
    on_sale_until: date | None
    payer: str

    @property
    def key(self) -> Key:
        """Which cell."""
        return self.partner_id, self.tariff_id, self.channel_code


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, as text."""

    name: str
    old: str
    new: str


@dataclass(slots=True)
class Change:
    """An edit that changes something, beside the offer as it stands."""

    edit: Edit
    partner: Partner
    tariff: Tariff
    offer: Offer | None
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_stale(self) -> bool:
        """Whether somebody has changed the offer since the edit was begun."""
        return (self.offer.revision if self.offer else 0) != self.edit.revision


def parse(text: str) -> list[Edit]:
    """The edits that the page sends as JSON. Raises ValidationError with every reason."""
    try:
        rows = json.loads(text)
    except ValueError:
        raise ValidationError(_("Изменения не прочитались: обновите страницу")) from None
    if not isinstance(rows, list) or len(rows) > MOST:
        raise ValidationError(_("Слишком много изменений сразу: не больше %d") % MOST)
    edits, wrong = [], []
    for row in rows:
        try:
            edits.append(_edit(row))
        except ValueError as error:
            wrong.append(str(error))
        except (AttributeError, KeyError, TypeError):
            wrong.append(_("Изменения не прочитались: обновите страницу"))
    if len({one.key for one in edits}) != len(edits):
        wrong.append(_("Одна ячейка изменена дважды"))
    if wrong:
        raise ValidationError(sorted(set(wrong)))
    return edits


def compare(edits: Iterable[Edit]) -> list[Change]:
    """What the edits change, cell by cell; those that change nothing are left out. Two queries and a third."""
    edits = list(edits)
    standing = _standing(edits)
    partners = Partner.objects.in_bulk({one.partner_id for one in edits})
    tariffs = Tariff.objects.select_related("product", "current").in_bulk({one.tariff_id for one in edits})
    found = []
    for edit in edits:
        if edit.partner_id not in partners or edit.tariff_id not in tariffs:
            raise ValidationError(_("Партнёра или тарифа больше нет: обновите страницу"))
        offer = standing.get(edit.key)
        change = Change(edit, partners[edit.partner_id], tariffs[edit.tariff_id], offer)
        change.differences = _differences(edit, offer, change.tariff)
        if change.differences:
            found.append(change)
    return found


def save(edits: Sequence[Edit], *, actor: str = "") -> int:
    """Writes all edits that change something, or none. Raises Refused `changed_meanwhile`."""
    try:
        with transaction.atomic():
            # In the order of their keys, as everybody locks them.
            _standing(edits, lock=True)
            changes = compare(edits)
            if stale := [change for change in changes if change.is_stale]:
                raise _meanwhile(stale)
            for change in changes:
                _write(change, actor)
    except IntegrityError:
        # Two made the same offer at once: the other one was first.
        raise _meanwhile([]) from None
    return len(changes)


def _write(change: Change, actor: str) -> None:
    edit = change.edit
    offer = change.offer or Offer(
        partner_id=edit.partner_id, tariff_id=edit.tariff_id, channel_code=edit.channel_code, revision=0
    )
    for name in FIELDS:
        setattr(offer, name, getattr(edit, name))
    offer.revision += 1
    offer.save()
    journal.record(
        "offer.changed" if change.offer else "offer.made",
        "catalog.Offer",
        offer.pk,
        actor=actor,
        data={
            "partner": change.partner.slug,
            "tariff": change.tariff.code,
            "channel": edit.channel_code,
            "changes": {one.name: [one.old, one.new] for one in change.differences},
        },
    )


def _standing(edits: Iterable[Edit], *, lock: bool = False) -> dict[Key, Offer]:
    edits = list(edits)
    rows = Offer.objects.filter(
        partner__in={one.partner_id for one in edits}, tariff__in={one.tariff_id for one in edits}
    )
    if lock:
        rows = rows.select_for_update(of=("self",))
    return {(one.partner_id, one.tariff_id, one.channel_code): one for one in rows.order_by("pk")}


def _meanwhile(stale: Sequence[Change]) -> Refused:
    names = ", ".join(f"{one.partner}: {one.tariff}" for one in stale[:5])
    text = _("Пока вы правили, это изменил кто-то другой: %s. Ничего не записано, обновите страницу.")
    return Refused("changed_meanwhile", text % (names or _("новое предложение")))


def _differences(edit: Edit, offer: Offer | None, tariff: Tariff) -> list[Difference]:
    if offer is None and not edit.is_on_sale:
        return []
    found = []
    for name in FIELDS:
        old = getattr(offer, name) if offer else ("" if name != "is_on_sale" else None)
        new = getattr(edit, name)
        if (old or None) != (new or None) or (offer is None and name == "is_on_sale"):
            label = str(Offer._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
            found.append(Difference(label, shown(name, old, tariff), shown(name, new, tariff)))
    return found


def shown(name: str, value: Any, tariff: Tariff) -> str:
    """A value in words."""
    if name == "is_on_sale":
        return _("да") if value else _("нет")
    if name == "price":
        if value:
            return str(Money(value))
        return _("как в тарифе (%s)") % tariff.current.money if tariff.current else "—"
    if name == "payer":
        return str(Payer(value).label) if value else "—"
    return f"{value:%d.%m.%Y}" if value else "—"


def _edit(row: dict[str, Any]) -> Edit:
    begins, ends = _day(row.get("from")), _day(row.get("until"))
    if begins and ends and ends < begins:
        raise ValueError(_("Продажи заканчиваются раньше, чем начинаются"))
    payer = row["payer"]
    if payer not in Payer.values:
        raise ValueError(_("Не выбрано, кто платит"))
    channel = str(row["channel"])
    if channel and not (len(channel) <= 40 and channel.isascii() and channel.replace("-", "").isalnum()):
        raise ValueError(_("Код канала: латинские буквы, цифры и дефис"))
    return Edit(
        partner_id=int(row["partner"]),
        tariff_id=int(row["tariff"]),
        channel_code=channel,
        revision=int(row["revision"]),
        is_on_sale=bool(row["on"]),
        price=_price(row.get("price")),
        on_sale_from=begins,
        on_sale_until=ends,
        payer=payer,
    )


def _price(text: Any) -> Decimal | None:
    digits = "".join(str(text or "").split()).replace(",", ".")
    if not digits:
        return None
    try:
        price = Decimal(digits)
        exact = price == price.quantize(Decimal("0.01"))
    except InvalidOperation:
        raise ValueError(_("«%s» — не цена") % text) from None
    if not exact or not 0 < price < Decimal(10) ** 12:
        raise ValueError(_("«%s»: цена больше нуля, не больше двух знаков после запятой") % text)
    return price.quantize(Decimal("0.01"))


def _day(text: Any) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise ValueError(_("«%s» — не дата") % text) from None
