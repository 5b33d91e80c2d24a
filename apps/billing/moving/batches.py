"""Cut-over by batches: each in one transaction, once, and taken up again after a crash; undone while nothing is billed.

Only a batch makes subscriptions, so that nothing that waits can be billed before. Nobody is welcomed, no provider is
asked: what was delivered elsewhere is only written down.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from apps import journal
from apps.accounts import many
from apps.accounts.models import Company, Customer
from apps.billing import periods, subscriptions, trials
from apps.billing.models import (
    Collection,
    InvoiceLine,
    PhaseKind,
    Subscription,
    SubscriptionDiscount,
    SubscriptionPhase,
    SubscriptionState,
)
from apps.billing.moving import loading, terms
from apps.billing.moving.models import BaseBatch, BaseRow, BaseRowState, BatchState
from apps.catalog.models import Offer, TariffVersion
from apps.core import bulk, clock, due, events, faults, search
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.tenancy import current_partner
from apps.payments import methods
from apps.policies.dunning_models import ChargeRules

KIND = "billing.BaseBatch"
MOVE = "billing.move_base"
SIZE = 500
FAULT_POINTS = ("billing.batch-not-committed", "billing.batch-moved", "billing.batch-undone-not-committed")
"""Every commit boundary of a batch."""
BACK = "moved_back"
"""Why a subscription is over whose batch was undone."""


def plan(*, count: int, size: int = SIZE, actor: str = "") -> list[BaseBatch]:
    """Puts the next `count` subscriptions that wait into batches of `size`, to be moved in the background.

    The soonest charge goes first; add-ons go with what they belong to. Raises Refused `nothing_waits`, `bad_count`.
    """
    if not (1 <= size <= 2000 and count >= 1):
        raise Refused("bad_count", _("Подписок: от одной; в пачке не больше 2000"), status=400)
    with transaction.atomic():
        families = _waiting_families(count)
        if not families:
            raise Refused("nothing_waits", _("Ни одна подписка не ждёт переноса"))
        made = []
        for family_keys in _cut(families, size):
            batch = BaseBatch.objects.create(size=len(family_keys), actor=actor, created_at=clock.now())
            bulk.update(BaseRow, ["batch"], [(key, batch.pk) for key in family_keys])
            due.schedule(MOVE, batch.pk, clock.wall(), wall=True)
            made.append(batch)
        data = {"batches": len(made), "rows": sum(one.size for one in made)}
        journal.record("base.planned", KIND, made[0].pk, actor=actor, data=data)
    return made


def _waiting_families(count: int) -> list[list[UUID]]:
    """Rows that wait and are in no batch, locked; each main one with its add-ons."""
    rows = list(
        BaseRow.objects.select_for_update()
        .filter(state=BaseRowState.WAITING, batch=None)
        .order_by("next_charge_date", "external_id")
        .values_list("pk", "external_id", "parent_external_id")
    )
    families = {external_id: [key] for key, external_id, parent in rows if not parent}
    for key, external_id, parent in rows:
        if parent:
            families.setdefault(parent if parent in families else external_id, []).append(key)
    found, taken = [], 0
    for family in families.values():
        if taken >= count:
            break
        found.append(family)
        taken += len(family)
    return found


def _cut(families: Sequence[list[UUID]], size: int) -> Iterable[list[UUID]]:
    batch: list[UUID] = []
    for family in families:
        if batch and len(batch) + len(family) > size:
            yield batch
            batch = []
        batch = batch + family
    if batch:
        yield batch


def move(batch_id: UUID) -> None:
    """Makes subscriptions of a batch's rows, all of them in one transaction; a second call finds it done.

    A row whose day has come meanwhile, or whose customer cannot be told any more, stays where it was, and says why.
    """
    with transaction.atomic():
        batch = _locked(batch_id)
        if batch.state != BatchState.PLANNED:
            return
        rows = list(
            BaseRow.objects.select_for_update(of=("self",))
            .select_related("tariff_version")
            .filter(batch=batch, state=BaseRowState.WAITING)
            .order_by("parent_external_id", "external_id")
        )
        # Moved back and moved again, it is the same subscription. A new one has its key before it is written.
        again = {row.pk for row in rows if row.subscription_id}
        for row in rows:
            row.subscription_id = row.subscription_id or uuid7()
        left = _Left()
        ready = _ready(rows, left)
        if ready:
            _write(ready, again, batch)
        _leave(batch, left)
        batch.state, batch.done_at = BatchState.DONE, clock.now()
        batch.moved, batch.left = len(ready), left.told
        batch.save()
        data = {"moved": len(ready), "left": len(left.told)}
        journal.record("base.moved", KIND, batch.pk, actor=batch.actor, data=data)
        faults.at("billing.batch-not-committed")
    faults.at("billing.batch-moved")


class _Left:
    """Rows that are not moved, and why."""

    def __init__(self) -> None:
        self.rows: list[BaseRow] = []
        self.told: list[list[str]] = []

    def add(self, row: BaseRow, reason: object) -> None:
        self.rows.append(row)
        self.told.append([row.external_id, str(reason)])


def _ready(rows: Sequence[BaseRow], left: _Left) -> list[BaseRow]:
    today, ready = clock.today(), []
    for row in rows:
        if row.next_charge_date <= today:
            left.add(row, _("дата следующего списания прошла: загрузите файл с новой датой"))
        else:
            ready.append(row)
    ready = _with_customers(ready, left)
    parents = _parents(ready)
    whole = []
    for row in ready:
        if row.parent_external_id and row.parent_external_id not in parents:
            left.add(row, _("основная подписка не перенесена"))
        else:
            whole.append(row)
    return whole


def _with_customers(rows: list[BaseRow], left: _Left) -> list[BaseRow]:
    new = [row for row in rows if row.customer_id is None]
    found = many.register([loading.person_of(row) for row in new])
    for row, answer in zip(new, found, strict=True):
        if isinstance(answer, UUID):
            row.customer_id = answer
        else:
            left.add(row, answer)
    known = bulk.these("uuid", [row.customer_id for row in rows if row.customer_id])
    gone = set(Customer.objects.filter(pk__in=known, erased_at__isnull=False).values_list("pk", flat=True))
    for row in rows:
        if row.customer_id in gone:
            left.add(row, _("данные клиента стёрты"))
    return [row for row in rows if row.customer_id is not None and row.customer_id not in gone]


def _parents(rows: Sequence[BaseRow]) -> dict[str, UUID]:
    """By the old system's id: what add-ons may belong to, in this batch or moved before."""
    known = {row.external_id: _key(row) for row in rows if not row.parent_external_id}
    wanted = {row.parent_external_id for row in rows if row.parent_external_id} - set(known)
    moved = BaseRow.objects.filter(external_id__in=bulk.these("text", wanted), state=BaseRowState.MOVED)
    known.update({one: key for one, key in moved.values_list("external_id", "subscription_id") if key})
    return known


def _key(row: BaseRow) -> UUID:
    if row.subscription_id is None:
        raise ValueError("A row that is moved has its subscription's key")
    return row.subscription_id


def _write(rows: Sequence[BaseRow], again: set[UUID], batch: BaseBatch) -> None:
    now = clock.now()
    _methods(rows)
    _write_subscriptions(rows, again, now)
    _forget_terms([row for row in rows if row.pk in again], now)
    _write_terms(rows, now)
    _plan_work(rows)
    _no_trial_again(rows)
    search.index_new(subscriptions.KIND, [(_key(row), row.external_id) for row in rows])
    for version in sorted({row.tariff_version_id for row in rows}):
        TariffVersion(pk=version).mark_sold(clock.wall())
    bulk.update(
        BaseRow,
        ["state", "customer", "method", "subscription", "person"],
        [(row.pk, BaseRowState.MOVED.value, row.customer_id, row.method_id, _key(row), "") for row in rows],
    )
    # What was delivered stands above us: whoever keeps it reads the rows' keys, and then has them forgotten.
    events.publish("billing.BaseMoved", batch.pk)


def _write_subscriptions(rows: Sequence[BaseRow], again: set[UUID], now: datetime) -> None:
    keys = {row.offer_id for row in rows}
    offers = {one.pk: one for one in Offer.objects.filter(pk__in=keys).select_related("tariff")}
    customers = bulk.these("uuid", {row.customer_id for row in rows})
    companies = set(Company.objects.filter(customer__in=customers).values_list("customer_id", flat=True))
    parents = _parents(rows)
    fresh = [
        Subscription(id=_key(row), **_ours(row), **_sale(row, offers[row.offer_id], companies, parents, now))
        for row in rows
        if row.pk not in again
    ]
    bulk.copy_objects(Subscription, fresh)
    back = [row for row in rows if row.pk in again]
    if back:
        names = list(_ours(back[0]))
        fields = [name.removesuffix("_id") for name in names]
        bulk.update(Subscription, fields, [(_key(row), *_ours(row).values()) for row in back])


def _methods(rows: Sequence[BaseRow]) -> None:
    """The saved methods: known ones are used again, refused ones stay refused."""
    wanted = [row for row in rows if row.method_id is None and row.secrets.get("token") and row.connection_id]
    keys = methods.take_over(
        [
            methods.Taken(
                row.customer_id, row.connection_id, row.secrets["token"], str(row.secrets.get("card") or "")
            )
            for row in wanted
            if row.customer_id and row.connection_id
        ]
    )
    for row, key in zip(wanted, keys, strict=True):
        row.method_id = key


def _ours(row: BaseRow) -> dict[str, Any]:
    """What a row that is moved, or moved again, stands on."""
    version = row.tariff_version
    return {
        "state": SubscriptionState.ACTIVE.value,
        "offer_id": row.offer_id,
        "tariff_version_id": row.tariff_version_id,
        "name": row.name,
        "quantity": row.quantity,
        "price": row.price,
        "vat_code": version.vat_code,
        "period_count": version.period_count,
        "period_unit": version.period_unit,
        "anchor_date": row.next_charge_date,
        "cycle_day": row.cycle_day,
        "current_period_start": row.period_start,
        "current_period_end": row.next_charge_date,
        "billed_until": row.next_charge_date,
        "end_date": row.end_date,
        "method_id": row.method_id,
        "ended_at": None,
        "end_reason": "",
    }


def _sale(
    row: BaseRow, offer: Offer, companies: set[UUID], parents: dict[str, UUID], now: datetime
) -> dict[str, Any]:
    """What was sold, to whom, and who pays."""
    collection = str(offer.payer)
    if collection == Collection.CHARGE and row.customer_id in companies:
        collection = Collection.INVOICE.value
    started = periods.midnight(row.started_date) if row.started_date else now
    return {
        "customer_id": row.customer_id,
        "product_id": offer.tariff.product_id,
        "legal_entity_id": current_partner().legal_entity_id,
        "collection": collection,
        "parent_id": parents.get(row.parent_external_id),
        "currency": row.currency,
        "terms": {"moved_from": row.external_id},
        "created_at": started,
        "started_at": started,
    }


def _forget_terms(again: Sequence[BaseRow], now: datetime) -> None:
    """Of subscriptions that were moved, and back, before: what was agreed then does not hold."""
    keys = [_key(row) for row in again]
    if keys:
        SubscriptionPhase.objects.filter(subscription__in=keys, dropped_at=None).update(dropped_at=now)
        SubscriptionDiscount.objects.filter(subscription__in=keys).update(percent=0, amount=0)


def _write_terms(rows: Sequence[BaseRow], now: datetime) -> None:
    with translation.override("ru"):
        name = _("Скидка из прежней системы")
    bulk.copy_objects(SubscriptionPhase, [one for row in rows for one in terms.phases(row, _key(row), now)])
    bulk.copy_objects(
        SubscriptionDiscount, [one for row in rows for one in terms.discounts(row, _key(row), name, now)]
    )


def _plan_work(rows: Sequence[BaseRow]) -> None:
    """Each main subscription's next charge and the notice of it, or its end; as `subscriptions.plan` does for one."""
    keys = bulk.these("uuid", [_key(row) for row in rows if not row.parent_external_id])
    # Who pays by invoice gets it ahead, each by terms of its own.
    billed = {
        one.pk: one for one in Subscription.objects.filter(pk__in=keys).exclude(collection=Collection.CHARGE)
    }
    lead = timedelta(days=ChargeRules.of(current_partner().pk).notice_days)
    renewals, notices = [], []
    for row in rows:
        key, day = _key(row), row.next_charge_date
        if row.parent_external_id:
            continue
        if key in billed:
            subscriptions.plan(billed[key])
        elif row.end_date and row.end_date <= day:
            renewals.append((key, periods.midnight(row.end_date)))
        else:
            renewals.append((key, periods.work_moment(key, day)))
            notices.append((key, periods.notice_moment(key, day, lead)))
    due.schedule_new(subscriptions.RENEW, renewals)
    due.schedule_new(subscriptions.NOTICE, notices)


def _no_trial_again(rows: Sequence[BaseRow]) -> None:
    """Who has a product is not offered to try it."""
    offers = Offer.objects.filter(pk__in={row.offer_id for row in rows})
    products = dict(offers.values_list("pk", "tariff__product_id"))
    trials.have_had(
        (products[row.offer_id], _key(row), row.customer_id, row.method_id) for row in rows if row.customer_id
    )


def _leave(batch: BaseBatch, left: _Left) -> None:
    bulk.update(BaseRow, ["batch"], [(row.pk, None) for row in left.rows])


def undo(batch_id: UUID, *, actor: str = "") -> BaseBatch:
    """Gives a batch back: its rows wait again, nothing of it is billed, nobody is told, no provider is asked.

    Customers and saved methods stay, so that a card that was refused stays refused. Raises Refused
    `batch_not_moved`, or `batch_in_use` with the reason of each row in `rows`.
    """
    with transaction.atomic():
        batch = _locked(batch_id)
        if batch.state != BatchState.DONE:
            raise Refused("batch_not_moved", _("Эта пачка не перенесена или уже возвращена"))
        keys = BaseRow.objects.filter(batch=batch).values_list("subscription_id", flat=True)
        mine = list(
            Subscription.objects.select_for_update(no_key=True)
            .filter(pk__in=bulk.these("uuid", [key for key in keys if key]))
            .order_by("pk")
        )
        if used := in_use(mine):
            first = ", ".join(f"{key}: {why}" for key, why in used[:3])
            message = _("Пачку уже не вернуть (%(count)d): %(first)s") % {"count": len(used), "first": first}
            raise Refused("batch_in_use", message, rows=used)
        _give_back(mine)
        BaseRow.objects.filter(batch=batch).update(state=BaseRowState.WAITING, batch=None)
        batch.state, batch.undone_at = BatchState.UNDONE, clock.now()
        batch.save(update_fields=["state", "undone_at"])
        data = {"rows": len(mine)}
        journal.record("base.moved-back", KIND, batch.pk, actor=actor, data=data)
        faults.at("billing.batch-undone-not-committed")
    return batch


def in_use(mine: Sequence[Subscription]) -> list[list[str]]:
    """[[id in the old system, why], …] of locked subscriptions that cannot be given back any more."""
    keys = bulk.these("uuid", [one.pk for one in mine])
    billed = set(InvoiceLine.objects.filter(subscription__in=keys).values_list("subscription_id", flat=True))
    moved_kinds = {PhaseKind.MOVED, PhaseKind.REGULAR}
    changed: dict[UUID, int] = defaultdict(int)
    phases = SubscriptionPhase.objects.filter(subscription__in=keys, dropped_at=None)
    for key, kind in phases.values_list("subscription_id", "kind"):
        changed[key] += 1 if kind in moved_kinds else 10
    others = Subscription.objects.filter(parent__in=keys).exclude(pk__in=keys)
    with_addons = set(others.values_list("parent_id", flat=True))
    found = []
    for one in mine:
        why = ""
        if one.pk in billed:
            why = _("уже выставлен счёт")
        elif one.state != SubscriptionState.ACTIVE or one.cancel_at_period_end:
            why = str(one.state_text)
        elif changed[one.pk] != 2:
            why = _("условия уже изменены")
        elif one.pk in with_addons:
            why = _("уже куплено дополнение")
        if why:
            found.append([str(one.terms.get("moved_from", one.pk)), why])
    return sorted(found)


def _give_back(mine: Sequence[Subscription]) -> None:
    now = clock.now()
    trials.forget(one.pk for one in mine)
    bulk.update(
        Subscription,
        ["state", "ended_at", "end_reason"],
        [(one.pk, SubscriptionState.ENDED.value, now, BACK) for one in mine],
    )
    for one in mine:
        for kind in (subscriptions.RENEW, subscriptions.NOTICE):
            due.cancel(kind, one.pk)
        search.forget(subscriptions.KIND, one.pk)
    # Not SubscriptionEnded: the product stays with the customer, whose old system goes on.
    events.publish_many("billing.BaseMovedBack", [(one.pk, {}) for one in mine])


def forget_secrets(batch_id: UUID) -> None:
    """Keys and tokens of a batch are where they belong now."""
    BaseRow.objects.filter(batch=batch_id, state=BaseRowState.MOVED).update(secrets={})


def forget_person(customer_id: UUID) -> None:
    """An erased customer's rows know nothing personal any more."""
    BaseRow.objects.filter(customer_id=customer_id).update(person={}, secrets={})


def _locked(batch_id: UUID) -> BaseBatch:
    return BaseBatch.objects.select_for_update().get(pk=batch_id)
