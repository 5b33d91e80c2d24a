"""A storefront that is ready to sell the minute its partner exists."""

from typing import Any

from apps.channels.services import create_defaults
from apps.partners.models import Partner
from apps.storefronts.models import Storefront

BRAND = ("tagline", "intro", "colour", "logo", "logo_type", "language", "support_phone", "support_email")
# Partners who name no colour differ all the same.
COLOURS = ("#2563eb", "#0f766e", "#7c3aed", "#c2410c", "#be123c", "#15803d", "#0369a1", "#a21caf")


def create_default(partner: Partner, **brand: Any) -> Storefront:
    """The storefront of a new partner, in its schema; `brand` holds any of BRAND, other keys are not for us."""
    web, _api = create_defaults()
    looks = {key: value for key, value in brand.items() if key in BRAND and value}
    looks.setdefault("colour", COLOURS[partner.pk % len(COLOURS)])
    storefront = Storefront(name=partner.name, channel=web, **looks)
    storefront.full_clean(exclude=["channel"])
    storefront.save(force_insert=True)
    return storefront
