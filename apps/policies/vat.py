"""VAT by code and day. Rates: 425-ФЗ of 28.11.2025 (22 % from 2026), NK RF art. 164."""

from datetime import date
from decimal import Decimal

from apps.policies.models import VatRate

STANDARD, REDUCED, NONE = "standard", "reduced", "none"


def percent(code: str, on: date) -> Decimal | None:
    """The rate in per cent that holds on a day; None is «без НДС». Raises LookupError for an unknown code."""
    found = VatRate.objects.filter(code=code, valid_from__lte=on).order_by("-valid_from").first()
    if found is None:
        raise LookupError(f"No VAT rate {code} on {on}")
    return found.percent


def choices() -> list[tuple[str, str]]:
    """Codes with the newest names, for forms."""
    named = dict(VatRate.objects.order_by("valid_from").values_list("code", "name"))
    return list(named.items())
