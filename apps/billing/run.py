"""The invoice run: bills what should have been billed and has not, for a batch of one partner's subscriptions.

Read in a fixed number of queries, computed by the engine, written by COPY; numbers last. A late, repeated or
overlapping run changes nothing: all meet at the subscriptions' locks, and a period is one by constraint.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from apps.billing import (
    balances,
    facts,
    invoices,
    mailing,
    parties,
    paying,
    phases,
    posting_parts,
    postings,
    subscriptions,
    terms,
)
from apps.billing.engine import Charge
from apps.billing.facts import Facts
from apps.billing.models import (
    LIVE,
    Collection,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoicePurpose,
    InvoiceState,
    Subscription,
    SubscriptionPhase,
)
from apps.core import bulk, clock, events, ids, search
from apps.core.ids import uuid7
from apps.core.money import Money, vat_inside
from apps.core.tenancy import current_partner
from apps.ledger import ledger
from apps.partners import books
from apps.payments import charging, disputes
from apps.payments.models import PaymentMethod, Purpose
from apps.policies import numbering, vat

MAX_PIECES = 3
"""Charges of one subscription on one invoice; more means that something is wrong (a park, not a bill)."""


@dataclass(slots=True)
class Line:
    """One line to be written, its charge and what is frozen with it."""

    facts: Facts
    charge: Charge
    vat_rate: Decimal | None
    vat: Decimal
    terms: dict[str, Any]
    id: UUID = field(default_factory=uuid7)


@dataclass
class Bill:
    """One invoice to be written: of a subscription and its add-ons, on one day."""

    subscription: Subscription
    lines: list[Line]
    method: PaymentMethod | None = None
    credit_applied: Decimal = Decimal("0.00")
    id: UUID = field(default_factory=uuid7)
    number: str = ""
    payment_id: UUID | None = None

    @cached_property
    def total(self) -> Decimal:
        """VAT included, before the balance."""
        return sum((line.charge.amount for line in self.lines), Decimal("0.00"))

    @cached_property
    def vat(self) -> Decimal:
        """Of all lines."""
        return sum((line.vat for line in self.lines), Decimal("0.00"))

    @property
    def due(self) -> Decimal:
        """What is left to pay."""
        return self.total - self.credit_applied


class Frozen:
    """What a sale of a day freezes: VAT rates and terms, looked up once per run."""

    def __init__(self, day: date) -> None:
        self.day = day
        self._rates: dict[str, Decimal | None] = {}
        self._terms: dict[tuple[int, int, Any, str], dict[str, Any]] = {}

    def rate(self, code: str) -> Decimal | None:
        """The VAT in per cent; None is «без НДС»."""
        if code not in self._rates:
            self._rates[code] = vat.percent(code, self.day)
        return self._rates[code]

    def terms(
        self,
        product_id: int,
        term: SubscriptionPhase,
        charge: Charge,
        method: PaymentMethod | None,
        collection: str = Collection.CHARGE,
    ) -> dict[str, Any]:
        """Whose money, share and cost (see `terms.of_sale`): by the connection that `method` is charged at."""
        key = product_id, term.tariff_version_id, method and method.connection_id, collection
        if key not in self._terms:
            self._terms[key] = terms.of_sale(
                product_id=product_id,
                tariff_version_id=key[1],
                day=self.day,
                method=method,
                collection=collection,
            )
        return terms.of_line(self._terms[key], gross=charge.gross, price=term.price, quantity=term.quantity)


def draw_up(
    subscriptions: Sequence[Subscription], as_of: date, methods: Mapping[UUID, PaymentMethod]
) -> list[Bill]:
    """The invoices that a run on `as_of` issues for locked subscriptions and their add-ons. Writes nothing.

    `methods` are those that may be charged (see `usable_methods`).
    """
    families = _families(subscriptions)
    frozen = Frozen(clock.today())
    bills = {one.pk: Bill(one, [], _method_of(one, methods)) for one in subscriptions}
    for one in facts.load([member for family in families.values() for member in family]):
        bill = bills[one.subscription.parent_id or one.subscription.pk]
        for charge in one.difference(as_of).charges:
            term = one.term(charge.phase)
            rate = frozen.rate(term.vat_code)
            tax = vat_inside(charge.amount, rate)
            agreed = frozen.terms(
                one.subscription.product_id, term, charge, bill.method, bill.subscription.collection
            )
            bill.lines.append(Line(one, charge, rate, tax, agreed))
    return [bill for bill in bills.values() if bill.lines]


def _method_of(subscription: Subscription, methods: Mapping[UUID, PaymentMethod]) -> PaymentMethod | None:
    if not subscription.method_id or subscription.collection != Collection.CHARGE:
        return None
    return methods.get(subscription.method_id)


def write(bills: Sequence[Bill]) -> None:
    """Writes the invoices with all that belongs to them, in the caller's transaction; numbers come last."""
    _apply_balances(bills)
    _write_payments(bills)
    _write_lines(bills)
    _move_on(bills)
    day, now = clock.today(), clock.now()
    ledger.post_many(
        posting_parts.KIND,
        [(bill.id, one) for bill in bills for one in postings.of_bill(bill)],
        occurred_at=now,
        business_date=day,
    )
    events.publish_many(
        "billing.InvoiceIssued", [(bill.id, {"subscription_id": str(bill.subscription.pk)}) for bill in bills]
    )
    _write_invoices(bills, day)
    search.index_new(invoices.KIND, [(bill.id, bill.number) for bill in bills])


def lock(subscription_ids: Iterable[UUID]) -> list[Subscription]:
    """The subscriptions as they stand now, locked in the order of their ids, as everybody locks them."""
    rows = Subscription.objects.select_for_update(no_key=True).filter(
        pk__in=bulk.these("uuid", subscription_ids)
    )
    return bulk.instances(rows.defer(*_FOR_PAGES).order_by("pk"))


_FOR_PAGES = ["terms", "cancel_reason", "cancelled_at", "created_at", "started_at", "ended_at", "end_reason"]
"""What of a subscription a plain run has no use for; where something has, it is read then."""


def usable_methods(subscriptions: Iterable[Subscription]) -> dict[UUID, PaymentMethod]:
    """The methods that may be charged, locked as a refusal locks them: none is claimed after a refusal."""
    keys = bulk.these("uuid", {one.method_id for one in subscriptions if one.method_id})
    # What else there is of them, the tokens to be deciphered first of all, is read by whoever sends the charge.
    rows = PaymentMethod.objects.select_for_update(no_key=True).filter(pk__in=keys)
    rows = rows.only("customer", "connection", "is_active")
    # A card about which the bank has a dispute open is not charged until that is decided.
    held = disputes.held_methods() if keys else set()
    return {
        row.pk: row for row in bulk.instances(rows.order_by("pk")) if row.is_active and row.pk not in held
    }


def _families(roots: Sequence[Subscription]) -> dict[UUID, list[Subscription]]:
    families = {one.pk: [one] for one in roots}
    addons = Subscription.objects.select_for_update(no_key=True).defer(*_FOR_PAGES)
    addons = addons.filter(
        parent__in=bulk.these("uuid", families), state__in=LIVE, cancel_at_period_end=False
    )
    for addon in bulk.instances(addons.order_by("pk")):
        if addon.parent_id is not None:
            families[addon.parent_id].append(addon)
    return families


def _apply_balances(bills: Sequence[Bill]) -> None:
    rich = balances.positive({bill.subscription.customer_id for bill in bills})
    for bill in bills:
        if bill.subscription.customer_id in rich:
            owed = Money(bill.total, bill.subscription.currency)
            bill.credit_applied = balances.take(bill.subscription.customer_id, owed)


def _write_payments(bills: Sequence[Bill]) -> None:
    paying = [bill for bill in bills if bill.method is not None and bill.due > 0]
    keys = charging.start_many([_charge_of(bill) for bill in paying])
    for bill, key in zip(paying, keys, strict=True):
        bill.payment_id = key
    bulk.copy(
        InvoicePayment,
        ["id", "invoice", "payment"],
        [(key, bill.id, bill.payment_id) for key, bill in zip(ids.many(len(paying)), paying, strict=True)],
        same={"failed": False},
    )


def _charge_of(bill: Bill) -> charging.Charge:
    subscription, method = bill.subscription, bill.method
    if method is None:
        raise ValueError("A charge needs a method")
    return charging.Charge(
        method=method,
        amount=bill.due,
        currency=subscription.currency,
        description=subscription.name,
        channel_id=subscription.channel_id,
        subscription_id=subscription.pk,
        product_id=subscription.product_id,
        tariff_version_id=subscription.tariff_version_id,
        purpose=Purpose.RENEWAL,
    )


_LINE = [
    "id",
    "invoice",
    "subscription",
    "product",
    "tariff_version",
    "position",
    "description",
    "quantity",
    "phase",
    "period_date",
    "period_start",
    "period_end",
    "part",
    "discount",
    "amount",
    "vat_rate",
    "vat",
    "terms",
]


def _write_lines(bills: Sequence[Bill]) -> None:
    texts: dict[int, str] = {}
    rows = []
    for bill in bills:
        for position, line in enumerate(bill.lines, start=1):
            subscription, charge = line.facts.subscription, line.charge
            term = line.facts.term(charge.phase)
            rows.append(
                (
                    line.id,
                    bill.id,
                    subscription.pk,
                    subscription.product_id,
                    term.tariff_version_id,
                    position,
                    term.name,
                    term.quantity,
                    term.pk,
                    charge.period,
                    charge.start,
                    charge.end,
                    charge.part,
                    charge.discount,
                    charge.amount,
                    line.vat_rate,
                    line.vat,
                    texts.get(id(line.terms)) or texts.setdefault(id(line.terms), bulk.json_text(line.terms)),
                )
            )
    bulk.copy(InvoiceLine, _LINE, rows, same={"credited": Decimal("0.00")})


_INVOICE = [
    "id",
    "number",
    "customer",
    "subscription",
    "legal_entity",
    "total",
    "vat",
    "credit_applied",
    "currency",
    "collection",
    "business_date",
    "due_date",
    "channel_id",
    "channel_code",
    "parties",
]


def _write_invoices(bills: Sequence[Bill], day: date) -> None:
    partner = current_partner()
    by_entity: dict[int, list[Bill]] = defaultdict(list)
    for bill in bills:
        by_entity[bill.subscription.legal_entity_id].append(bill)
    days = books.open_days(by_entity, day)
    by_invoice = [bill for bill in bills if bill.subscription.collection == Collection.INVOICE]
    named = parties.of_many(
        (bill.subscription.customer_id, bill.subscription.legal_entity_id) for bill in by_invoice
    )
    for entity, mine in sorted(by_entity.items()):
        year = days[entity].year
        numbers = numbering.allot(
            "invoice", legal_entity_id=entity, partner_id=partner.pk, year=year, count=len(mine)
        )
        for bill, number in zip(mine, numbers, strict=True):
            bill.number = number
    rows = []
    for bill in bills:
        one = bill.subscription
        rows.append(
            (
                bill.id,
                bill.number,
                one.customer_id,
                one.pk,
                one.legal_entity_id,
                bill.total,
                bill.vat,
                bill.credit_applied,
                one.currency,
                str(one.collection),
                days[one.legal_entity_id],
                day + timedelta(days=paying.days_to_pay(one)),
                one.channel_id,
                one.channel_code,
                bulk.json_text(found) if (found := named.get(one.customer_id)) else None,
            )
        )
    same = {
        "purpose": InvoicePurpose.RENEWAL.value,
        "state": InvoiceState.OPEN.value,
        "issued_at": clock.now(),
    }
    bulk.copy(Invoice, _INVOICE, rows, same=same)
    if named:
        mailing.plan_new(bill.id for bill in by_invoice if bill.subscription.customer_id in named)


def _move_on(bills: Sequence[Bill]) -> None:
    """Each subscription is billed up to its last line, and stands on the terms of that line once they have begun."""
    moved: dict[UUID, Line] = {}
    for bill in bills:
        for line in bill.lines:
            moved[line.facts.subscription.pk] = line
    today = clock.today()
    plain, changed, ahead = [], [], []
    for line in moved.values():
        subscription, term = line.facts.subscription, line.facts.term(line.charge.phase)
        subscription.billed_until = line.charge.end
        if phases.is_applied(subscription, term):
            plain.append(subscription)
        elif term.start_date > today:
            # An invoice that a bank transfer pays is issued days before its period, whose terms hold from then on.
            plain.append(subscription)
            ahead.append(subscription)
        else:
            phases.apply(subscription, term)
            changed.append(subscription)
    bulk.update(Subscription, ["billed_until"], [(one.pk, one.billed_until) for one in plain])
    attnames = {field.name: field.attname for field in Subscription._meta.concrete_fields}
    columns = [attnames[name] for name in phases.MIRRORED]
    bulk.update(
        Subscription,
        ["billed_until", *phases.MIRRORED],
        [(one.pk, one.billed_until, *(getattr(one, name) for name in columns)) for one in changed],
    )
    for one in ahead:
        subscriptions.plan_begin(one)
