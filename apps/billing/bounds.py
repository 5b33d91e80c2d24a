"""Safety bounds: a bill out of proportion to its subscription's own history is parked, and a person looks.

One query for a whole batch; what is within its bounds costs no more than that.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from apps import journal
from apps.billing.dunning_models import ParkedBill, ParkedState
from apps.billing.models import PhaseKind, Subscription
from apps.catalog.models import TariffVersion
from apps.core import bulk, clock, work
from apps.core.money import Money, rounded
from apps.core.tenancy import current_partner
from apps.policies.dunning_models import ChargeRules

if TYPE_CHECKING:
    from apps.billing.run import Bill, Line

KIND = "billing.ParkedBill"
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a subscription's history says: invoices of today, and what a piece costs a day (0: no history)."""

    today: int = 0
    rate: Decimal = _ZERO


_NOTHING = _Seen()

# The median of the last six billed periods, each per piece and day before its discount: a longer period, more pieces
# and the end of a promotion are no change of price. The index of the constraint billing_period_once serves it.
_HISTORY = """
SELECT asked.id,
    (SELECT count(*) FROM billing_invoice i
     WHERE i.subscription_id = asked.id AND i.business_date = %(today)s AND i.state <> 'void'),
    (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY recent.rate) FROM (
        SELECT (l.amount + l.discount) / (l.quantity * (l.period_end - l.period_start)) AS rate
        FROM billing_invoiceline l
        WHERE l.subscription_id = asked.id AND l.period_start IS NOT NULL AND l.amount > 0
            AND l.quantity > 0 AND l.period_end > l.period_start
        ORDER BY l.period_start DESC LIMIT 6) AS recent)
FROM unnest(%(keys)s::uuid[]) AS asked (id)
"""


def within(bills: "Sequence[Bill]") -> "list[Bill]":
    """Those of drawn-up bills that may be issued; the others are parked, their subscriptions locked by the caller."""
    if not bills:
        return []
    rules, seen = ChargeRules.of(current_partner().pk), _history(bills)
    suspect = [(bill, next(_reasons(bill, rules, seen), "")) for bill in bills]
    wrong = {bill.id: reason for bill, reason in suspect if reason}
    if not wrong:
        return list(bills)
    allowed = _allowed([bill for bill in bills if bill.id in wrong])
    for bill in bills:
        if bill.id in wrong and bill.id not in allowed:
            _park(bill, wrong[bill.id], seen)
    return [bill for bill in bills if bill.id not in wrong or bill.id in allowed]


def forget(subscription: Subscription) -> None:
    """A locked subscription is over: nobody has to look at its bill any more. The caller saves it."""
    if not subscription.is_parked:
        return
    subscription.is_parked = False
    for parked in ParkedBill.objects.filter(subscription=subscription, state=ParkedState.WAITING):
        decide(parked, ParkedState.VOIDED, note=_("Подписка завершена"), actor="")


def decide(parked: ParkedBill, state: str, *, note: str, actor: str) -> None:
    """Writes a decision down; what follows from it is the caller's."""
    parked.state, parked.decided_at = state, clock.now()
    parked.actor, parked.note = actor, note[:300]
    parked.save()
    work.close(KIND, parked.pk)


def _history(bills: "Sequence[Bill]") -> dict[UUID, _Seen]:
    keys = {line.facts.subscription.pk for bill in bills for line in bill.lines}
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY, {"today": clock.today(), "keys": bulk.array(keys)})
        return {key: _Seen(today, rate or _ZERO) for key, today, rate in cursor.fetchall()}


def _reasons(bill: "Bill", rules: ChargeRules, seen: dict[UUID, _Seen]) -> Iterator[str]:
    currency = bill.subscription.currency
    if seen.get(bill.subscription.pk, _NOTHING).today >= rules.most_invoices_a_day:
        yield _("Счетов этой подписки за день больше %d") % rules.most_invoices_a_day
    if rules.most_amount is not None and bill.total > rules.most_amount:
        yield _("Сумма больше предела %s") % Money(rules.most_amount, currency)
    for line in bill.lines:
        usual = seen.get(line.facts.subscription.pk, _NOTHING).rate
        if usual and _rate(line) > usual * rules.most_times_usual and not _is_asked_for(line):
            times = (_rate(line) / usual).quantize(Decimal("0.1"))
            yield _("Дороже обычного в %(times)s раза: «%(what)s», %(sum)s") % {
                "times": f"{times}".replace(".", ","),
                "what": line.facts.term(line.charge.phase).name,
                "sum": Money(line.charge.amount, currency),
            }
    pieces = Counter(line.facts.subscription.pk for line in bill.lines)
    if max(pieces.values()) > rules.most_periods:
        yield _("Периодов в счёте: %(count)d, больше %(most)d") % {
            "count": max(pieces.values()),
            "most": rules.most_periods,
        }


def _rate(line: "Line") -> Decimal:
    """What a piece costs a day, before the discount."""
    charge = line.charge
    days = (charge.end - charge.start).days
    return (charge.amount + charge.discount) / (max(1, line.facts.term(charge.phase).quantity) * max(1, days))


def _is_asked_for(line: "Line") -> bool:
    """A tariff that the customer changed to, at its own price: dearer than before, and nobody's mistake."""
    term = line.facts.term(line.charge.phase)
    if term.kind != PhaseKind.CHANGE:
        return False
    return TariffVersion.objects.filter(pk=term.tariff_version_id, price__gte=term.price).exists()


def _allowed(bills: "Sequence[Bill]") -> set[UUID]:
    """Bills that a person has seen and allowed, if they are still the same."""
    released = {
        (one.subscription_id, one.billed_from, one.total)
        for one in ParkedBill.objects.filter(
            subscription__in=[bill.subscription.pk for bill in bills], state=ParkedState.RELEASED
        )
    }
    return {bill.id for bill in bills if (bill.subscription.pk, _billed_from(bill), bill.total) in released}


def _billed_from(bill: "Bill") -> date:
    return min(line.charge.start for line in bill.lines)


def _park(bill: "Bill", reason: str, seen: dict[UUID, _Seen]) -> None:
    subscription = bill.subscription
    parked = ParkedBill.objects.create(
        subscription=subscription,
        reason=reason[:300],
        total=bill.total,
        currency=subscription.currency,
        usual=rounded(sum((_usual(line, seen) for line in bill.lines), _ZERO)),
        billed_from=_billed_from(bill),
        lines=[_in_words(line) for line in bill.lines],
        parked_at=clock.now(),
    )
    subscription.is_parked = True
    subscription.save(update_fields=["is_parked"])
    work.open(KIND, parked.pk, _("Счёт не выставлен: %s") % reason)
    journal.record("subscription.parked", "billing.Subscription", subscription.pk, data={"reason": reason})


def _usual(line: "Line", seen: dict[UUID, _Seen]) -> Decimal:
    charge, term = line.charge, line.facts.term(line.charge.phase)
    days = (charge.end - charge.start).days
    return seen.get(line.facts.subscription.pk, _NOTHING).rate * term.quantity * days


def _in_words(line: "Line") -> dict[str, Any]:
    charge, term = line.charge, line.facts.term(line.charge.phase)
    return {
        "name": term.name,
        "quantity": term.quantity,
        "start": charge.start.isoformat(),
        "end": charge.end.isoformat(),
        "amount": str(charge.amount),
    }
