"""VAT rates as the price list writes them: «22%», «без НДС»."""

from datetime import date

from apps.policies.models import VatRate


def labels(on: date) -> dict[str, str]:
    """Code by label, for the rates that hold on a day."""
    newest = {rate.code: rate for rate in VatRate.objects.filter(valid_from__lte=on).order_by("valid_from")}
    return {_label(rate): code for code, rate in newest.items()}


def _label(rate: VatRate) -> str:
    return "без НДС" if rate.percent is None else f"{rate.percent.normalize():f}%".replace(".", ",")
