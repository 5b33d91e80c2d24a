"""Legal documents of products: a new text is a new version, valid from a day on."""

from collections.abc import Mapping
from datetime import date

from django.db import transaction
from django.db.models import Max

from apps import journal
from apps.catalog.models import Product, ProductDocument
from apps.core import clock


def add(
    product: Product,
    *,
    kind: str,
    valid_from: date,
    text: Mapping[str, str] | None = None,
    content: bytes = b"",
    file_name: str = "",
    actor: str = "",
) -> ProductDocument:
    """The next version of a document: a text, or a PDF."""
    with transaction.atomic():
        # The product's row is the lock of its documents' numbers.
        Product.objects.select_for_update(of=("self",)).get(pk=product.pk)
        last = product.documents.filter(kind=kind).aggregate(last=Max("number"))["last"] or 0
        made = ProductDocument.objects.create(
            product=product,
            kind=kind,
            number=last + 1,
            valid_from=valid_from,
            text=dict(text or {}),
            content=content or None,
            file_name=file_name[:100],
            created_at=clock.wall(),
        )
        journal.record(
            "product.document-added",
            "catalog.Product",
            product.pk,
            actor=actor,
            data={"kind": kind, "number": made.number, "valid_from": str(valid_from)},
        )
    return made
