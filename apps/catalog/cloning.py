"""Copies of products and tariffs: drafts with codes of their own, everything else as it stands."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog.lifecycle import DRAFT
from apps.catalog.models import Product, ProductDocument, ProductPicture, Tariff, TariffRelation
from apps.core import clock
from apps.core.errors import Refused
from apps.core.fields import Translated


def product(original: Product, *, code: str, name: str, actor: str = "") -> Product:
    """A draft like it, with parameters, picture, documents and tariffs. Raises Refused `code_taken`.

    Tariffs are called as the old ones, with the new product's code in place of the old one's.
    """
    with transaction.atomic():
        if Product.objects.filter(code=code).exists():
            raise _taken(code)
        made = Product.objects.get(pk=original.pk)
        made.pk, made.code, made.state = None, code, DRAFT
        made.name = Translated({**original.name, "ru": name})
        made._state.adding = True
        made.save(force_insert=True)
        for one in original.parameters.all():
            one.pk, one.product = None, made
            one.save(force_insert=True)
        _copy_papers(original, made)
        for old in original.tariffs.all():
            tariff(old, code=_renamed(old.code, original.code, code), to=made, actor=actor)
        _note(made, original, actor)
    return made


def tariff(
    original: Tariff, *, code: str, name: str = "", to: Product | None = None, actor: str = ""
) -> Tariff:
    """A draft like it, with the terms in force and its relations. Raises Refused `code_taken`."""
    with transaction.atomic():
        if Tariff.objects.filter(code=code).exists():
            raise _taken(code)
        made = Tariff.objects.select_related("current").get(pk=original.pk)
        terms = made.current
        made.pk, made.code, made.state, made.current = None, code, DRAFT, None
        made.product = to or original.product
        made.name = Translated({**original.name, "ru": name}) if name else original.name
        made._state.adding = True
        made.save(force_insert=True)
        if terms is not None:
            made.publish(
                price=terms.price,
                period_count=terms.period_count,
                period_unit=terms.period_unit,
                trial_days=terms.trial_days,
                trial_needs_method=terms.trial_needs_method,
                parameters=terms.parameters,
                features=terms.features,
                vat_code=terms.vat_code,
                parts=terms.parts(),
                currency=terms.currency,
            )
        for one in original.relations.all():
            TariffRelation.objects.create(tariff=made, kind=one.kind, other_id=one.other_id)
        _note(made, original, actor)
    return made


def _copy_papers(original: Product, made: Product) -> None:
    if picture := ProductPicture.objects.filter(product=original).first():
        picture.pk = made.pk
        picture._state.adding = True
        picture.save(force_insert=True)
    for one in original.documents_on(clock.today()):
        paper = ProductDocument.objects.get(pk=one.pk)
        paper.pk, paper.product, paper.number, paper.created_at = None, made, 1, clock.wall()
        paper.save(force_insert=True)


def _renamed(code: str, old: str, new: str) -> str:
    return (new + code.removeprefix(old) if code.startswith(old) else f"{new}-{code}")[:60]


def _taken(code: str) -> Refused:
    return Refused("code_taken", _("Код «%s» уже занят") % code)


def _note(made: Product | Tariff, original: Product | Tariff, actor: str) -> None:
    action = f"{made._meta.model_name}.cloned"
    journal.record(action, made._meta.label, made.pk, actor=actor, data={"from": original.code})
