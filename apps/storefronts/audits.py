"""What must hold of purchases made through a storefront."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q

from apps.core import audit
from apps.orders.models import OrderItem
from apps.storefronts.models import Checkout


@audit.rule("storefronts.sold-as-shown", of=(Checkout,))
def sold_as_shown() -> Iterable[str]:
    """The order costs what stood on the page, and the consent to recurring charges is kept."""
    same = OrderItem.objects.filter(order=OuterRef("order"), price=OuterRef("price"), offer=OuterRef("offer"))
    other = ~Exists(same)
    for checkout in Checkout.objects.filter(other).select_related("order"):
        yield f"Checkout {checkout.pk}: order {checkout.order} is not what was shown"
    agreed = Q()
    for purpose in ("recurring", "trial", "invoice"):
        agreed |= Q(consents__contains=[{"purpose": purpose}])
    for checkout in Checkout.objects.exclude(agreed):
        yield f"Checkout {checkout.pk}: no consent to recurring charges"
