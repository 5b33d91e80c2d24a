"""Which services a provider says were live on a day: a file, read row by row, to be held against what was charged."""

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from apps import journal
from apps.core import clock
from apps.providers.models import Provider
from apps.providers.portal import usage
from apps.providers.portal.models import ServiceList, ServiceListRow

KIND = "providers.ServiceList"
HEADINGS = {
    "service": usage.HEADINGS["service"],
    "cost": ("стоимость", "сумма", "cost", "price"),
}


def load(
    *, provider: Provider, day: date, name: str, content: bytes, actor: str, is_test: bool = False
) -> ServiceList:
    """Keeps a list of a day; a service that stands in it twice counts once. Raises Refused `bad_file`."""
    errors: list[list[Any]] = []
    found: dict[UUID, Decimal | None] = {}
    for line, row in usage.rows_of(name, content, HEADINGS, ("service",)):
        try:
            named = UUID(str(row.get("service") or "").strip())
        except ValueError:
            errors.append([line, _("Номер услуги или запроса не разобран")])
            continue
        try:
            found[named] = _cost(row.get("cost"))
        except ValueError as error:
            errors.append([line, str(error)])
    with transaction.atomic():
        made = ServiceList.objects.create(
            provider=provider,
            day=day,
            is_test=is_test,
            name=name[:200],
            rows=len(found),
            errors=errors[: usage.SHOWN],
            loaded_at=clock.wall(),
            loaded_by=actor[:100],
        )
        lines = [ServiceListRow(list=made, named=named, cost=cost) for named, cost in found.items()]
        ServiceListRow.objects.bulk_create(lines, batch_size=2000)
        data = {"provider": provider.code, "day": str(day), "rows": len(found), "errors": len(errors)}
        journal.record("service-list.loaded", KIND, made.pk, actor=actor, data=data)
    return made


def _cost(value: Any) -> Decimal | None:
    text = str("" if value is None else value).replace(",", ".").replace(" ", "").replace("\xa0", "")
    if not text:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found < 0 or found >= Decimal(10) ** 9:
        raise ValueError(_("Стоимость не разобрана"))
    return found.quantize(Decimal("0.01"))
