"""A product's plan of fulfilment: checked, saved as a new edition, and frozen into what is sold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog.models import Delivery, FulfilmentPlan, PlanStep, Product, StepKind, TariffVersion, Undo
from apps.core import clock
from apps.core.errors import Refused
from apps.core.fields import Translated

MOST_STEPS, MOST_MINUTES = 20, 60 * 24 * 90
_BY_PEOPLE = {StepKind.MANUAL, StepKind.WAIT}


@dataclass(frozen=True, slots=True)
class Step:
    """One step as staff write it down. `minutes`: its deadline; `duty`: the role that is told of it."""

    kind: str
    name: Translated
    text: Translated = field(default_factory=Translated)
    minutes: int | None = None
    duty: str = ""
    provider_id: int | None = None
    undo: str = Undo.NOTHING


def save(
    product: Product, steps: Sequence[Step], *, promised_minutes: int | None = None, actor: str = ""
) -> FulfilmentPlan | None:
    """From now on orders of `product` are fulfilled so; those that were placed go on as they were sold.

    No steps, no plan: its provider is asked, and that is all. Raises Refused `bad_plan`.
    """
    check(product, steps, promised_minutes)
    with transaction.atomic():
        product = Product.objects.select_for_update(no_key=True, of=("self",)).get(pk=product.pk)
        made = _written(product, steps, actor) if steps else None
        product.plan, product.promised_minutes = made, promised_minutes
        product.save(update_fields=["plan", "promised_minutes"])
        data = {"steps": [f"{one.kind}: {one.name}" for one in steps], "promised": promised_minutes}
        journal.record("product.plan", "catalog.product", product.pk, actor=actor, data=data)
    return made


def _written(product: Product, steps: Sequence[Step], actor: str) -> FulfilmentPlan:
    last = product.plans.order_by("-number").values_list("number", flat=True).first()
    made = FulfilmentPlan.objects.create(
        product=product, number=(last or 0) + 1, created_at=clock.wall(), actor=actor[:150]
    )
    PlanStep.objects.bulk_create(
        PlanStep(
            plan=made,
            position=position,
            kind=one.kind,
            name=one.name,
            text=one.text,
            minutes=one.minutes,
            duty=one.duty,
            provider_id=one.provider_id,
            # What its provider gave is always taken back there.
            undo=Undo.PROVIDER if one.kind == StepKind.PROVISION else one.undo,
        )
        for position, one in enumerate(steps, start=1)
    )
    return made


def check(product: Product, steps: Sequence[Step], promised_minutes: int | None = None) -> None:
    """Raises Refused `bad_plan` with what is wrong."""
    if promised_minutes is not None and not 1 <= promised_minutes <= MOST_MINUTES:
        raise _bad(_("Обещание: от минуты до 90 дней"))
    if not steps:
        return
    if product.delivery == Delivery.BUNDLE:
        raise _bad(_("У пакета плана нет: он есть у каждой его части"))
    if len(steps) > MOST_STEPS:
        raise _bad(_("Шагов в плане не больше двадцати"))
    if [one.kind for one in steps].count(StepKind.PROVISION) != 1:
        raise _bad(_("В плане ровно один шаг «Выдать у поставщика продукта»"))
    for position, one in enumerate(steps, start=1):
        if reason := _wrong(one):
            raise _bad(_("Шаг {number}: {reason}").format(number=position, reason=reason))


def _wrong(step: Step) -> Any:
    if not step.name.get("ru"):
        return _("назовите его")
    if step.minutes is not None and not 1 <= step.minutes <= MOST_MINUTES:
        return _("срок: от минуты до 90 дней")
    if step.kind in _BY_PEOPLE and step.minutes is None:
        return _("укажите срок, за который его сделают")
    if step.kind == StepKind.REGISTER and step.provider_id is None:
        return _("укажите поставщика, у которого регистрируют")
    if step.kind == StepKind.NOTIFY and not step.text.get("ru"):
        return _("напишите текст письма")
    if step.undo == Undo.PROVIDER and step.kind not in {StepKind.REGISTER, StepKind.PROVISION}:
        return _("у поставщика отменяется только то, что делает поставщик")
    return ""


def _bad(reason: Any) -> Refused:
    return Refused("bad_plan", str(reason), status=400)


def frozen(sold: Iterable[tuple[TariffVersion, Product]]) -> dict[str, Any]:
    """What an order keeps of the plans and promises of what it will deliver, by tariff version; mostly nothing.

    It reads nothing: products carry their plan's id.
    """
    pairs = list(sold)
    kept = {
        "plans": {str(version.pk): product.plan_id for version, product in pairs if product.plan_id},
        "promised": {
            str(version.pk): product.promised_minutes
            for version, product in pairs
            if product.promised_minutes
        },
    }
    return {name: found for name, found in kept.items() if found}
