"""From nothing to on sale: a product with its first tariff, approved and offered to partners, in one transaction."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.catalog import lifecycle, offers
from apps.catalog.models import Category, Product, Tariff
from apps.core.codes import code_for
from apps.core.fields import Translated
from apps.partners.models import Partner


def launch(
    *,
    name: str,
    category: Category,
    provider: Any,
    delivery: str,
    vat_code: str,
    tariff_name: str,
    price: Decimal,
    period_count: int,
    period_unit: str,
    trial_days: int,
    partners: Iterable[Partner],
    trial_needs_method: bool = True,
    short: str = "",
    actor: str = "",
) -> Product:
    """The product, on sale at these partners. Every step of its life stands in the journal."""
    with transaction.atomic():
        code = code_for(name, set(Product.objects.values_list("code", flat=True))).upper()[:50]
        product = Product.objects.create(
            code=code,
            name=Translated(ru=name),
            short=Translated(ru=short) if short else Translated(),
            category=category,
            provider=provider,
            delivery=delivery,
            vat_code=vat_code,
            state=lifecycle.DRAFT,
        )
        taken = set(Tariff.objects.values_list("code", flat=True))
        tariff = Tariff.objects.create(
            product=product,
            code=code_for(f"{code}-{tariff_name}", taken).upper()[:60],
            name=Translated(ru=tariff_name),
            state=lifecycle.DRAFT,
        )
        tariff.publish(
            price=price,
            period_count=period_count,
            period_unit=period_unit,
            trial_days=trial_days,
            trial_needs_method=trial_needs_method,
        )
        for row in (product, tariff):
            for state in (lifecycle.APPROVED, lifecycle.ON_SALE):
                lifecycle.move(row, state, actor=actor, reason="")
        for partner in partners:
            offers.put_on_sale(partner_id=partner.pk, tariffs=[tariff])
    return product
