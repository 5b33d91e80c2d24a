"""What a mass action may do to one subscription: looked at first, and done by the very function of its own page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.billing import changes, credits, gifts, given_back, invoices, returnable
from apps.billing.mass.models import MassAction, MassKind
from apps.billing.models import (
    CreditReason,
    Invoice,
    InvoicePayment,
    InvoiceState,
    Subscription,
)
from apps.catalog.models import Offer
from apps.core.errors import Refused
from apps.core.money import Money, rounded
from apps.core.tenancy import current_partner


@dataclass(frozen=True, slots=True)
class Deed:
    """`check` reads the parameters (Refused for bad ones), `look` says the sum, `do` does it and says what it did."""

    check: Callable[[Mapping[str, Any]], dict[str, Any]]
    look: Callable[[Subscription, Mapping[str, Any]], Decimal]
    do: Callable[[Subscription, MassAction], str]
    sum_is: Any


def _days(params: Mapping[str, Any]) -> dict[str, Any]:
    days = params.get("days")
    if not isinstance(days, int) or not 1 <= days <= gifts.LONGEST:
        raise Refused("bad_days", _("Дней: от 1 до 366"), status=400)
    return {"days": days}


def _extend(subscription: Subscription, action: MassAction) -> str:
    made = gifts.extend(
        subscription=subscription,
        days=action.params["days"],
        reason=action.reason,
        actor=action.asked_by,
    )
    return _("оплачено до {day}").format(day=f"{made.current_period_end:%d.%m.%Y}")


def _percent(params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        percent = Decimal(str(params.get("percent")))
    except ArithmeticError:
        percent = Decimal(0)
    if not (percent.is_finite() and 0 < percent <= 100) or percent != rounded(percent):
        raise Refused("bad_percent", _("Процент: больше 0 и не больше 100"), status=400)
    return {"percent": str(percent)}


def _parts(subscription: Subscription, percent: Decimal) -> tuple[Invoice, list[credits.Part]]:
    """Of the last paid invoice, so much of each of the subscription's own lines as is not given back yet."""
    paid = Invoice.objects.filter(state=InvoiceState.PAID, lines__subscription=subscription, total__gt=0)
    invoice = paid.order_by("-paid_at", "-pk").first()
    if invoice is None:
        raise Refused("nothing_paid", _("Оплаченных счетов нет"))
    left, of_lines = returnable.left(invoice), given_back.left_of_lines(invoice, invoice.lines.all())
    parts = []
    for line in invoice.lines.filter(subscription=subscription).order_by("position"):
        amount = min(rounded(line.amount * percent / 100), of_lines[line.pk], left)
        if amount > 0:
            parts.append(credits.Part(line.pk, amount))
            left -= amount
    if not parts:
        raise Refused("nothing_left", _("По последнему счёту уже всё возвращено"))
    return invoice, parts


def all_of_last(subscription: Subscription) -> Decimal:
    """What is left of the last payment for it, to be given back the way it came. Raises Refused where nothing is."""
    return _back(subscription, {"percent": "100"})


def give_all_back(subscription: Subscription, *, key: str, actor: str) -> str:
    """Gives it back, which ends the subscription, and says by which note. The same `key` is the same note."""
    return _give(subscription, Decimal(100), key=key, actor=actor)


def _back(subscription: Subscription, params: Mapping[str, Any]) -> Decimal:
    invoice, parts = _parts(subscription, Decimal(params["percent"]))
    if not InvoicePayment.objects.filter(invoice=invoice, failed=False).exists():
        raise Refused("paid_otherwise", _("Счёт оплачен не через шлюз: верните деньги тем же путём"))
    return sum((part.amount for part in parts), Decimal("0.00"))


def _refund(subscription: Subscription, action: MassAction) -> str:
    key = f"mass:{action.pk}:{subscription.pk}"
    return _give(subscription, Decimal(action.params["percent"]), key=key, actor=action.asked_by)


def _give(subscription: Subscription, percent: Decimal, *, key: str, actor: str) -> str:
    invoice, parts = _parts(subscription, percent)
    invoice = invoices.locked(invoice.pk)
    note = credits.issue(
        invoice=invoice, parts=parts, reason=CreditReason.REFUND, key=key, to_card=True, actor=actor
    )
    return _("корректировка {number}: {sum}").format(number=note.number, sum=note.money)


def _terms(params: Mapping[str, Any]) -> dict[str, Any]:
    found = Offer.objects.filter(partner=current_partner().pk, pk=params.get("offer") or 0).first()
    if found is None:
        raise Refused("offer_closed", _("Это предложение больше не продаётся"), status=404)
    when = params.get("when") or changes.PERIOD_END
    if when not in {changes.NOW, changes.PERIOD_END}:
        raise Refused("bad_when", _("Когда: сейчас или в конце периода"), status=400)
    return {"offer": found.pk, "when": when}


def _look_at_change(subscription: Subscription, params: Mapping[str, Any]) -> Decimal:
    offer = Offer.objects.get(pk=params["offer"])
    return changes.preview(subscription=subscription, offer=offer, when=params["when"]).due.amount


def _change(subscription: Subscription, action: MassAction) -> str:
    outcome = changes.change(
        subscription=subscription,
        offer=Offer.objects.get(pk=action.params["offer"]),
        when=action.params["when"],
        reason=action.reason,
        actor=action.asked_by,
    )
    if outcome.state == "waiting" and outcome.invoice is not None:
        return _("ждёт оплаты {sum}").format(sum=outcome.invoice.due_money)
    return _("новый тариф с {day}").format(day=f"{outcome.start_date:%d.%m.%Y}")


DEEDS: dict[str, Deed] = {
    MassKind.EXTEND: Deed(
        _days, lambda one, params: gifts.look(one, params["days"]), _extend, gettext_lazy("Дарим дней на")
    ),
    MassKind.REFUND: Deed(_percent, _back, _refund, gettext_lazy("Вернём")),
    MassKind.CHANGE: Deed(_terms, _look_at_change, _change, gettext_lazy("Спишем сейчас")),
}


def money(action: MassAction, amount: Decimal) -> Money:
    """A sum of an action."""
    return Money(amount, action.currency)
