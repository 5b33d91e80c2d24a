"""What must hold of purchases made through a storefront."""

from collections.abc import Iterable

from django.db.models import F, Q

from apps.core import audit
from apps.storefronts.models import Checkout


@audit.rule("storefronts.sold-as-shown", of=(Checkout,))
def sold_as_shown() -> Iterable[str]:
    """The order costs what stood on the page, and the consent to recurring charges is kept."""
    other = ~Q(order__price=F("price")) | ~Q(order__offer_id=F("offer_id")) | Q(order=None)
    for checkout in Checkout.objects.filter(other).select_related("order"):
        yield f"Checkout {checkout.pk}: order {checkout.order} is not what was shown"
    agreed = Q()
    for purpose in ("recurring", "trial", "invoice"):
        agreed |= Q(consents__contains=[{"purpose": purpose}])
    for checkout in Checkout.objects.exclude(agreed):
        yield f"Checkout {checkout.pk}: no consent to recurring charges"
