"""A new partner begins with a storefront, its letters look like it; an erased customer's traces leave ours."""

from typing import Any

from apps.core import events
from apps.core.tenancy import current_partner
from apps.notifications import look
from apps.partners.models import Partner
from apps.partners.services import on_create
from apps.storefronts import colours, evidence  # noqa: F401 - evidence registers itself
from apps.storefronts.models import Checkout, Storefront
from apps.storefronts.services import create_default


@on_create
def storefront(partner: Partner, **brand: Any) -> None:
    create_default(partner, **brand)


@look.register
def letters() -> dict[str, Any]:
    """Letters come in the storefront's name, colour and logo."""
    shown = Storefront.objects.only("name", "colour", "logo_type").first()
    if shown is None:
        return {}
    # Mail programs draw neither SVG nor, many of them, WebP.
    has_picture = shown.logo_type in {"image/png", "image/jpeg"}
    return {
        "partner_name": shown.name,
        "colour": colours.in_letters(shown.colour),
        "logo_url": current_partner().url("/logo") if has_picture else "",
    }


@events.on("accounts.CustomerErased")
def forget_browser(event: events.Event) -> None:
    """The consent stays as proof, without the address and browser it came from."""
    Checkout.objects.filter(order__customer_id=event.object_id).update(ip=None, user_agent="")
