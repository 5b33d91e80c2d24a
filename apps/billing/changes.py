"""Another tariff or quantity for a subscription: now, against money or credit, or when what is paid is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import adjusting, invoices, phases, subscriptions
from apps.billing.adjusting import ZERO
from apps.billing.arrangements import ChangeState, Seat, SubscriptionChange
from apps.billing.engine import Charge, Difference
from apps.billing.facts import Facts
from apps.billing.models import (
    RUNNING,
    Collection,
    CreditReason,
    CustomerBalance,
    Invoice,
    PhaseKind,
    Subscription,
    SubscriptionPhase,
    SubscriptionState,
)
from apps.billing.moving import guard
from apps.catalog.models import Offer, TariffVersion
from apps.core import clock, events
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.payments import disputes
from apps.payments.models import Payment, PaymentMethod

NOW, PERIOD_END = "now", "period_end"
LIMIT = 99
"""Pieces of one subscription."""
_S = SubscriptionState


@dataclass(frozen=True, slots=True)
class Wanted:
    """The terms that a subscription is to have."""

    offer: Offer
    version: TariffVersion
    name: str
    price: Decimal
    quantity: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do: the terms it writes, those it takes back, and the money, to the kopeck."""

    start_date: date
    rows: list[SubscriptionPhase]
    replaced: list[SubscriptionPhase]
    difference: Difference
    terms: Facts
    balance: Decimal
    currency: str

    @property
    def charged(self) -> Decimal:
        """The new invoice, before what is credited."""
        return sum((one.amount for one in self.difference.charges), ZERO)

    @property
    def credited(self) -> Decimal:
        """For the days that were paid and are not used."""
        return sum((one.amount for one in self.difference.credits), ZERO)

    @property
    def covered(self) -> Decimal:
        """Of the new invoice: paid by these credits and the customer's balance."""
        return min(self.charged, self.credited + self.balance)

    @property
    def due(self) -> Money:
        """To be paid now."""
        return Money(self.charged - self.covered, self.currency)

    @property
    def priced(self) -> list[tuple[Charge, SubscriptionPhase]]:
        """Each charge with the terms it follows from."""
        return [(one, self.terms.term(one.phase)) for one in self.difference.charges]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: applied, planned for a day, or waiting for `payment`."""

    state: str
    start_date: date
    invoice: Invoice | None = None
    payment: Payment | None = None


def preview(
    *, subscription: Subscription, offer: Offer | None = None, quantity: int | None = None, when: str = ""
) -> Preview:
    """What `change` would do today; writes nothing. Raises Refused as `change` does."""
    wanted = _wanted(subscription, offer, quantity)
    return _look(subscription, wanted, _day_of(subscription, when or default_when(subscription, wanted)))


def change(
    *,
    subscription: Subscription,
    offer: Offer | None = None,
    quantity: int | None = None,
    when: str = "",
    return_url: str = "",
    instrument: str = "",
    reason: str = "",
    actor: str = "",
) -> Outcome:
    """Another tariff of the same product, or another quantity; the one asked for last counts.

    `when`: "now", or "period_end"; without it what is dearer comes now, what is cheaper at the period's end. What
    costs money now holds when it is paid: by the saved method, or on the gateway's page where `return_url` is
    given (with `instrument`, if the customer has chosen one). What costs nothing holds at once, and what is over goes
    onto the balance. Raises Refused:
    `subscription_not_live`, `is_cancelled`, `invoice_open`, `offer_closed`, `other_product`, `bad_quantity`,
    `seats_taken`, `addon_period_differs`, `nothing_changes`, `no_method`, `days_not_billed`.
    """
    with transaction.atomic():
        subscription = subscriptions.locked(subscription.pk)
        wanted = _wanted(subscription, offer, quantity)
        when = when or default_when(subscription, wanted)
        view = _look(subscription, wanted, _day_of(subscription, when))
        subscriptions.drop_change(subscription)
        if when == PERIOD_END:
            _write(subscription, view, reason=reason, actor=actor)
            _tell(subscription, view.rows[0].pk, actor)
            return Outcome("planned", view.start_date)
        if view.due.amount:
            page = {"return_url": return_url, "instrument": instrument if return_url else ""}
            return _ask_for_money(subscription, wanted, view, **page, reason=reason, actor=actor)
        view = _look_again(subscription, wanted, view)
        invoice = (
            adjusting.draft(subscription, view.priced, credit_applied=view.covered) if view.priced else None
        )
        _apply(subscription, view, invoice, reason=reason, actor=actor)
        _tell(subscription, view.rows[0].pk, actor)
    return Outcome("applied", view.start_date, invoice)


def _tell(subscription: Subscription, source: UUID, actor: str) -> None:
    """A change was asked for; `source` is the row that it stands by: terms, or what waits for money."""
    events.publish("billing.ChangeOrdered", subscription.pk, source=str(source), actor=actor)


def _look_again(subscription: Subscription, wanted: Wanted, view: Preview) -> Preview:
    """The same with all that it is paid by locked: a refund between the two may have taken the money."""
    adjusting.hold(subscription, view.difference.credits)
    again = _look(subscription, wanted, view.start_date)
    if again.due.amount:
        raise Refused("balance_changed", _("Баланс только что изменился: посмотрите сумму ещё раз"))
    return again


def undo(*, subscription: Subscription, actor: str = "") -> Subscription:
    """Nothing of what was planned comes: today's terms go on. Raises Refused `nothing_planned`."""
    with transaction.atomic():
        subscription = subscriptions.locked(subscription.pk)
        today = clock.today()
        planned = [one for one in phases.to_come(subscription, today) if one.kind == PhaseKind.CHANGE]
        waits = SubscriptionChange.objects.filter(
            subscription=subscription, state=ChangeState.WAITING
        ).exists()
        if not planned and not waits:
            raise Refused("nothing_planned", _("Смена условий не запланирована"))
        subscriptions.drop_change(subscription)
        for phase in planned:
            phases.drop(phase)
        if planned:
            _bill_after_free_days(subscription, planned[0].start_date, actor=actor)
        subscriptions.plan_begin(subscription)
        journal.record("subscription.change-undone", subscriptions.KIND, subscription.pk, actor=actor)
        events.publish("billing.SubscriptionChanged", subscription.pk)
    return subscription


def _bill_after_free_days(subscription: Subscription, day: date, *, actor: str) -> None:
    """The change had taken the place of the terms after a trial or a gift: without them those never end."""
    before = phases.on(subscription, day)
    if before is not None and before.is_free:
        told = {"actor": actor[:150], "dropped_at": None}
        regular = phases.copy(before, kind=PhaseKind.REGULAR, start_date=day, is_free=False, **told)
        regular.save(force_insert=True)


def paid(subscription: Subscription, invoice: Invoice, payment: Payment) -> bool:
    """The money of a waiting change came: it holds. False where the subscription has moved on meanwhile."""
    waiting = SubscriptionChange.objects.select_for_update(no_key=True).filter(
        invoice=invoice, state=ChangeState.WAITING
    )
    found = waiting.first()
    if found is None:
        return False
    wanted = _terms_of(subscription, found)
    view = _look(subscription, wanted, found.start_date) if _may_change(subscription) else None
    if view is not None:
        adjusting.hold(subscription, view.difference.credits)
        view = _look(subscription, wanted, found.start_date)
    asked = list(invoice.lines.order_by("position").values_list("amount", flat=True))
    if (
        view is None
        or [one.amount for one in view.difference.charges] != asked
        or view.credited != found.credit
        or view.covered < invoice.credit_applied
    ):
        subscriptions.drop_change(subscription)
        return False
    found.state, found.closed_at = ChangeState.APPLIED, clock.now()
    found.save(update_fields=["state", "closed_at"])
    if payment.method_id and not subscription.method_id:
        subscription.method_id = payment.method_id
    _apply(subscription, view, invoice, reason=found.reason, actor=found.actor)
    return True


def failed(subscription: Subscription, invoice: Invoice) -> None:
    """The money of a change did not come: the subscription goes on as it was."""
    if SubscriptionChange.objects.filter(invoice=invoice, state=ChangeState.WAITING).exists():
        subscriptions.drop_change(subscription)
        journal.record("subscription.change-unpaid", subscriptions.KIND, subscription.pk)


def default_when(subscription: Subscription, wanted: Wanted) -> str:
    """Dearer comes now, cheaper when what is paid is over; all of it then, where today is paid elsewhere."""
    is_dearer = wanted.price * wanted.quantity > subscription.money.amount
    return NOW if is_dearer and guard.free_until(subscription) is None else PERIOD_END


def _may_change(subscription: Subscription) -> bool:
    return subscription.state in {_S.TRIAL, _S.ACTIVE} and not subscription.cancel_at_period_end


def _wanted(subscription: Subscription, offer: Offer | None, quantity: int | None) -> Wanted:
    if subscription.state not in {_S.TRIAL, _S.ACTIVE}:
        raise Refused("subscription_not_live", _("Изменить можно только действующую подписку"))
    if subscription.cancel_at_period_end:
        raise Refused("is_cancelled", _("Подписка отключается: сначала возобновите её"))
    adjusting.must_be_settled(subscription)
    number = subscription.quantity if quantity is None else quantity
    if not 1 <= number <= LIMIT:
        raise Refused("bad_quantity", _("Количество: от 1 до 99"), status=400)
    if Seat.objects.filter(subscription=subscription, released_at=None, position__gt=number).exists():
        raise Refused("seats_taken", _("Сначала освободите лишние места"))
    if offer is None or offer.pk == subscription.offer_id:
        if number == subscription.quantity:
            raise Refused("nothing_changes", _("Эти условия действуют уже сейчас"))
        kept = TariffVersion.objects.get(pk=subscription.tariff_version_id)
        same = Offer.objects.get(pk=subscription.offer_id)
        return Wanted(same, kept, subscription.name, subscription.price, number)
    return _another(subscription, offer, number)


def _another(subscription: Subscription, offer: Offer, quantity: int) -> Wanted:
    found = Offer.objects.on_sale(current_partner().pk, subscription.channel_code).filter(pk=offer.pk).first()
    if found is None:
        raise Refused("offer_closed", _("Это предложение больше не продаётся"), status=404)
    if found.tariff.product_id != subscription.product_id:
        raise Refused("other_product", _("Перейти можно на другой тариф того же продукта"))
    version = found.current_version()
    is_other_cycle = (version.period_count, version.period_unit) != (
        subscription.period_count,
        subscription.period_unit,
    )
    # Read, not locked: a preview has no transaction, and an add-on comes only under the parent's lock.
    addons = subscription.addons.filter(state__in=[*RUNNING, _S.PENDING])
    if is_other_cycle and (subscription.parent_id or addons.exists()):
        raise Refused("addon_period_differs", _("У подписки и её дополнений должен быть один период"))
    with translation.override("ru"):
        name = f"{found.tariff.product}, {found.tariff.name}"
    return Wanted(found, version, name, found.price_by(version), quantity)


def _terms_of(subscription: Subscription, found: SubscriptionChange) -> Wanted:
    """As it was asked for: what is on sale may have changed since."""
    version = TariffVersion.objects.get(pk=found.tariff_version_id)
    line = found.invoice.lines.order_by("position")[0]
    offer = Offer.objects.get(pk=found.offer_id)
    same = offer.pk == subscription.offer_id
    price = subscription.price if same else offer.price_by(version)
    return Wanted(offer, version, line.description, price, found.quantity)


def _day_of(subscription: Subscription, when: str) -> date:
    if when == NOW:
        guard.must_be_billed(subscription)
        return clock.today()
    if when != PERIOD_END:
        raise Refused("bad_when", _("Когда: сейчас или в конце периода"), status=400)
    if subscription.billed_until is None:
        raise ValueError("The subscription has not started")
    return max(subscription.billed_until, clock.today())


def _look(subscription: Subscription, wanted: Wanted, start: date) -> Preview:
    one = adjusting.facts_of(subscription, start)
    to_come = [row for row in one.terms if row.start_date > start]
    # Terms that were to begin on the very day of the change have not begun, if that day is still ahead.
    if start > clock.today():
        to_come = [row for row in one.terms if row.start_date >= start]
    kept = [row for row in one.terms if row not in to_come]
    rows = _rows(subscription, wanted, start, kept[-1] if kept else None, to_come)
    changed = adjusting.with_terms(one, [*kept, *rows])
    first = next((row.start_date for row in rows if not row.is_free), start)
    ahead = first if any(line.amount for line in one.billed) else start
    balance = CustomerBalance.objects.filter(
        customer=subscription.customer_id, currency=subscription.currency
    ).first()
    difference = changed.difference(max(start, ahead)) if start <= clock.today() else Difference()
    return Preview(
        start_date=start,
        rows=rows,
        replaced=to_come,
        difference=Difference(difference.charges, adjusting.fitting(difference.credits)),
        terms=changed,
        balance=balance.amount if balance else ZERO,
        currency=subscription.currency,
    )


def _rows(
    subscription: Subscription,
    wanted: Wanted,
    start: date,
    current: SubscriptionPhase | None,
    to_come: Sequence[SubscriptionPhase],
) -> list[SubscriptionPhase]:
    """The terms from `start` on. Another quantity leaves the steps of the price that are to come as they are."""
    is_same = wanted.offer.pk == subscription.offer_id and wanted.version.pk == subscription.tariff_version_id
    trial = current if current is not None and current.is_free else None
    if is_same and trial is None:
        return [
            _new(subscription, wanted, start, current),
            *(phases.copy(row, quantity=wanted.quantity) for row in to_come if row.start_date > start),
        ]
    if trial is not None and subscription.anchor_date and start < subscription.anchor_date:
        free = _new(subscription, wanted, start, trial, kind=PhaseKind.TRIAL, is_free=True)
        return [free, _new(subscription, wanted, subscription.anchor_date, trial)]
    return [_new(subscription, wanted, start, current)]


def _new(
    subscription: Subscription,
    wanted: Wanted,
    start: date,
    current: SubscriptionPhase | None,
    *,
    kind: str = PhaseKind.CHANGE,
    is_free: bool = False,
) -> SubscriptionPhase:
    is_other_cycle = (wanted.version.period_count, wanted.version.period_unit) != (
        subscription.period_count,
        subscription.period_unit,
    )
    restarts = is_other_cycle and not is_free and start != subscription.anchor_date
    return phases.new(
        subscription,
        kind=kind,
        start_date=start,
        anchor_date=start if restarts else current.anchor_date if current else None,
        cycle_day=start.day if restarts else current.cycle_day if current else None,
        offer=wanted.offer,
        version=wanted.version,
        name=wanted.name,
        price=wanted.price,
        quantity=wanted.quantity,
        is_free=is_free,
    )


def _write(subscription: Subscription, view: Preview, *, reason: str, actor: str) -> None:
    for row in view.replaced:
        phases.drop(row)
    for row in view.rows:
        row.reason, row.actor = reason[:200], actor[:150]
        row.save(force_insert=True)
    subscriptions.plan_begin(subscription)
    first = view.rows[0]
    data = {
        "tariff_version": first.tariff_version_id,
        "quantity": first.quantity,
        "from": str(view.start_date),
    }
    journal.record("subscription.changed", subscriptions.KIND, subscription.pk, actor=actor, data=data)
    events.publish("billing.SubscriptionChanged", subscription.pk)


def _apply(
    subscription: Subscription, view: Preview, invoice: Invoice | None, *, reason: str, actor: str
) -> None:
    _write(subscription, view, reason=reason, actor=actor)
    phases.apply(subscription, view.rows[0])
    adjusting.credit(view.difference.credits, reason=CreditReason.CHANGE, actor=actor)
    if invoice is not None:
        _move(subscription, view.difference.charges)
    subscription.save()
    subscriptions.plan(subscription)
    if invoice is not None:
        adjusting.settle(invoice, view.priced)


def _move(subscription: Subscription, charges: Sequence[Charge]) -> None:
    last = charges[-1]
    subscription.current_period_start, subscription.current_period_end = last.start, last.end
    subscription.billed_until = last.end


def _ask_for_money(
    subscription: Subscription,
    wanted: Wanted,
    view: Preview,
    *,
    return_url: str,
    instrument: str,
    reason: str,
    actor: str,
) -> Outcome:
    method = _usable(subscription) if not return_url else None
    if subscription.collection != Collection.CHARGE or (method is None and not return_url):
        raise Refused("no_method", _("Нет сохранённого способа оплаты: оплатите изменение на странице"))
    invoice = adjusting.draft(subscription, view.priced, credit_applied=view.covered, method=method)
    asked = SubscriptionChange.objects.create(
        subscription=subscription,
        invoice=invoice,
        offer=wanted.offer,
        tariff_version=wanted.version,
        quantity=wanted.quantity,
        start_date=view.start_date,
        credit=view.credited,
        reason=reason[:200],
        actor=actor[:150],
        created_at=clock.now(),
    )
    data = {"tariff_version": wanted.version.pk, "quantity": wanted.quantity, "due": str(view.due.amount)}
    journal.record("subscription.change-asked", subscriptions.KIND, subscription.pk, actor=actor, data=data)
    _tell(subscription, asked.pk, actor)
    payment = invoices.pay(invoice, method=method, return_url=return_url, instrument=instrument)
    return Outcome("waiting", view.start_date, invoice, payment)


def _usable(subscription: Subscription) -> PaymentMethod | None:
    """The saved method, locked as a refusal locks it."""
    if subscription.method_id is None:
        return None
    method = PaymentMethod.objects.select_for_update(no_key=True).get(pk=subscription.method_id)
    return method if method.is_active and not disputes.is_held(method.pk) else None


def waiting_for(subscription_id: UUID) -> SubscriptionChange | None:
    """The change of a subscription that waits for its money."""
    return SubscriptionChange.objects.filter(subscription=subscription_id, state=ChangeState.WAITING).first()
