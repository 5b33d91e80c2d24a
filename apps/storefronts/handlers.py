"""A new partner begins with a storefront; an erased customer's traces leave ours."""

from typing import Any

from apps.core import events
from apps.partners.models import Partner
from apps.partners.services import on_create
from apps.storefronts.models import Checkout
from apps.storefronts.services import create_default


@on_create
def storefront(partner: Partner, **brand: Any) -> None:
    create_default(partner, **brand)


@events.on("accounts.CustomerErased")
def forget_browser(event: events.Event) -> None:
    """The consent stays as proof, without the address and browser it came from."""
    Checkout.objects.filter(order__customer_id=event.object_id).update(ip=None, user_agent="")
