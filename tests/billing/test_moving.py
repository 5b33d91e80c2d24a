"""An existing base moves in: every doubt is named, nothing is billed before its batch, and a batch can be undone."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings

from apps.accounts import customers
from apps.accounts.models import Company, Customer
from apps.billing import changes, pauses, subscriptions, trials
from apps.billing.mass import actions
from apps.billing.models import Collection, InvoiceState, PhaseKind, Subscription, SubscriptionState
from apps.billing.moving import batches, doubts, reading
from apps.billing.moving.models import BaseBatch, BaseRow, BaseRowState, BatchState
from apps.core import audit, clock, due, faults, search
from apps.core.errors import Refused
from apps.core.models import Due, Event
from apps.notifications.models import Message
from apps.orders.models import Fulfilment, Service, ServiceState
from apps.payments import methods
from apps.payments.models import Payment, PaymentMethod
from apps.providers.models import ActivationKey, KeyPool
from tests.billing.bases import as_csv, load, look, move
from tests.orders.shop import Shop
from tests.planted import execute, found

INN = "7707083893"


def row(offer: Any, **given: Any) -> dict[str, Any]:
    """A row without a doubt: paid till ten days from now, at the tariff's own price."""
    today = clock.today()
    number = given.get("external_id", "A-1")
    return {
        "external_id": number,
        "customer_id": f"C-{number}",
        "tariff": offer.tariff.code,
        "next_charge_date": today + timedelta(days=10),
        "token": "token-1",
        "keys": f"KEY-{number}",
        **given,
    }


def token(shop: Shop) -> str:
    """Of a card that the gateway has saved for somebody."""
    shop.buy(shop.offer())
    method = PaymentMethod.objects.latest("pk")
    found: str = method.token
    return found


def violations(shop: Shop) -> list[str]:
    return [str(one) for one in audit.run([shop.partner.pk])]


def everything() -> dict[str, int]:
    """How many rows every table of the partner has, and what is planned and said."""
    models = [
        model
        for label in settings.TENANT_APPS
        for model in apps.get_app_config(label.split(".")[-1]).get_models()
    ]
    return {model._meta.label: model.objects.count() for model in [*models, Due, Event]}


# What is wrong with a row, and the doubt that names it. `{offer}` is the code of the tariff.
DOUBTS: list[tuple[str, dict[str, Any]]] = [
    ("bad_cell", {"next_charge_date": "31.02.2027"}),
    ("bad_cell", {"price": "1,999"}),
    ("bad_cell", {"phone": "12"}),
    ("bad_cell", {"email": "anna"}),
    ("no_id", {"external_id": ""}),
    ("no_contact", {"customer_id": ""}),
    ("unknown_tariff", {"tariff": "NOTHING"}),
    ("no_date", {"next_charge_date": ""}),
    ("date_past", {"next_charge_date": "01.01.2020"}),
    ("bad_period", {"period_start": "01.01.2099"}),
    ("bad_quantity", {"quantity": "100"}),
    ("bad_discount", {"discount_percent": "101"}),
    ("bad_company", {"company": "ООО «Ромашка»", "inn": "7707083894", "kpp": "770701001"}),
    ("unknown_parent", {"parent_external_id": "Z-9"}),
    ("bad_provider_id", {"provider_ids": "17", "keys": ""}),
    ("too_many_keys", {"keys": "K1; K2"}),
    ("price_differs", {"price": "99,00"}),
    ("price_zero", {"discount_percent": "100"}),
    ("period_longer", {"period_start": "01.01.2020"}),
    ("cycle_day_differs", {"cycle_day": "99"}),
    ("no_token", {"token": ""}),
    ("no_provider_id", {"keys": ""}),
]


@pytest.mark.parametrize(("code", "given"), DOUBTS)
def test_every_doubt_is_named_with_its_line(shop: Shop, code: str, given: dict[str, Any]) -> None:
    good, odd = row(shop.offer(delivery="key", keys=1)), {}
    odd = {**good, "external_id": "A-2", "customer_id": "C-2", "keys": "KEY-2", **given}
    found = look(as_csv([good, odd]))
    assert code in {one.code for one in found.doubts if one.line == 3}
    assert [one for one in found.doubts if one.line == 2] == []
    is_error = doubts.CODES[code][0] == doubts.ERROR
    assert [one.line for one in found.good] == ([2] if is_error else [2, 3])


def test_doubts_that_take_two_rows_or_somebody_who_is_here(shop: Shop) -> None:
    offer, elsewhere = shop.offer(), shop.offer()
    elsewhere.channel_code = "web"
    elsewhere.save()
    anna = customers.register(phone="+79161110001", name="Анна")
    customers.register(email="boris@example.ru")
    soon = clock.today() + timedelta(days=2)
    rows = [
        row(offer, external_id="A-1"),
        row(offer, external_id="A-1"),
        row(offer, external_id="A-2", phone="+79161110002", keys=""),
        row(offer, external_id="A-3", phone="8 916 111-00-02", keys=""),
        row(offer, external_id="A-4", customer_id="", phone=anna.phone),
        row(offer, external_id="A-5", phone=anna.phone, email="boris@example.ru"),
        row(offer, external_id="A-6", tariff=elsewhere.tariff.code),
        row(offer, external_id="A-7", next_charge_date=soon),
        row(offer, external_id="A-8", parent_external_id="A-7"),
        row(offer, external_id="A-9", next_charge_date=clock.today() + timedelta(days=100)),
        row(offer, external_id="A-10", customer_id="C-A-9"),
        row(offer, external_id="A-11", end_date=clock.today() + timedelta(days=5)),
        row(
            offer, external_id="A-12", discount_percent="10", discount_until=clock.today() + timedelta(days=5)
        ),
        row(offer, external_id="A-13", keys="K-1"),
        row(offer, external_id="A-14", keys="K-1"),
        row(offer, external_id="A-15", period_start=clock.today() + timedelta(days=9)),
    ]
    before = everything()
    found = look(as_csv(rows))
    assert everything() == before, "a dry run writes nothing"
    by_line = {line: {one.code for one in found.doubts if one.line == line} for line in range(2, 18)}
    assert "duplicate_id" in by_line[2]
    assert "duplicate_id" in by_line[3]
    assert "duplicate_contact" in by_line[4]
    assert "duplicate_contact" in by_line[5]
    assert "customer_exists" in by_line[6]
    assert "customer_conflict" in by_line[7]
    assert "not_offered" in by_line[8]
    assert "notice_late" in by_line[9]
    assert "parent_differs" in by_line[10]
    assert "date_far" in by_line[11]
    assert "same_customer" in by_line[12]
    assert "ends_unpaid" in by_line[13]
    assert "discount_over" in by_line[14]
    assert "duplicate_key" in by_line[15]
    assert "duplicate_key" in by_line[16]
    assert "period_shorter" in by_line[17]
    assert "token_without_gateway" in {one.code for one in look(as_csv(rows), has_gateway=False).doubts}


def test_every_code_is_tested() -> None:
    told = {code for code, _given in DOUBTS} | {
        "duplicate_id", "duplicate_contact", "customer_conflict", "not_offered", "token_without_gateway",
        "parent_differs", "duplicate_key", "period_shorter", "date_far", "notice_late", "ends_unpaid",
        "discount_over", "customer_exists", "same_customer", "will_change", "already_moved",
    }  # fmt: skip
    assert told == set(doubts.CODES)


def test_a_file_that_is_no_base_is_refused_in_words() -> None:
    for content, word in (
        (b"\x00\x01", "прочитать"),
        ("Телефон;Цвет\n1;2\n".encode(), "Непонятные столбцы"),
        ("Телефон\n1\n".encode(), "Нет столбцов"),
        ("Номер подписки\n".encode(), "нет строк"),
    ):
        with pytest.raises(ValueError, match=word):
            reading.subscriptions(reading.dataset("base.csv", content))
    with pytest.raises(ValueError, match="XLSX"):
        reading.dataset("base.xlsx", b"nothing")


def test_loaded_twice_it_is_the_same_and_nothing_is_a_subscription(shop: Shop) -> None:
    rows = [row(shop.offer(), external_id=f"A-{n}") for n in range(1, 4)]
    before = everything()
    first = load(shop, rows)
    assert first.loaded == {"new": 3, "changed": 0, "same": 0, "moved": 0, "left": 0}
    waiting = everything()
    differs = {name for name in before if before[name] != waiting[name]}
    assert differs == {"billing.BaseImport", "billing.BaseRow", "journal.Entry"}
    second = load(shop, rows)
    assert second.loaded == {"new": 0, "changed": 0, "same": 3, "moved": 0, "left": 0}
    rows[1]["price"] = "99,00"
    assert "will_change" in {one.code for one in look(as_csv(rows)).doubts}
    third = load(shop, rows)
    assert third.loaded == {"new": 0, "changed": 1, "same": 2, "moved": 0, "left": 0}
    assert BaseRow.objects.get(external_id="A-2").price == Decimal("99.00")
    assert BaseRow.objects.count() == 3


def test_a_batch_makes_subscriptions_without_a_word_to_anybody(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=2, price="300.00")
    due_day = clock.today() + timedelta(days=10)
    company = {"company": "ООО «Ромашка»", "inn": INN, "kpp": "770701001", "address": "Москва"}
    load(
        shop,
        [
            row(offer, phone="+79161112233", name="Анна", price="199,00", quantity=2, keys="OLD-1; OLD-2"),
            row(offer, external_id="A-2", token="", documents_email="buh@example.ru", **company),
            row(
                offer, external_id="A-3", parent_external_id="A-1", customer_id="C-A-1", phone="+79161112233"
            ),
        ],
    )
    said = Message.objects.count()
    [batch] = move(10)
    shop.deliver()
    assert (batch.state, batch.moved, batch.left) == (BatchState.DONE, 3, [])
    one = Subscription.objects.get(moved_from__external_id="A-1")
    assert (one.state, one.price, one.quantity) == (SubscriptionState.ACTIVE, Decimal("199.00"), 2)
    assert one.current_period_end == one.billed_until == one.anchor_date == due_day
    assert one.method is not None
    assert one.method.token == "token-1"
    assert [phase.kind for phase in one.phases.all()] == [PhaseKind.MOVED, PhaseKind.REGULAR]
    firm = Subscription.objects.get(moved_from__external_id="A-2")
    assert (firm.collection, Company.objects.get(customer=firm.customer_id).inn) == (Collection.INVOICE, INN)
    extra = Subscription.objects.get(moved_from__external_id="A-3")
    assert (extra.parent_id, extra.customer_id) == (one.pk, one.customer_id)
    mine = Service.objects.filter(subscription=one)
    assert Counter(service.key for service in mine) == {"OLD-1": 1, "OLD-2": 1}
    assert {(service.state, service.active_until) for service in mine} == {(ServiceState.ACTIVE, due_day)}
    assert (Message.objects.count(), Fulfilment.objects.count(), Payment.objects.count()) == (said, 0, 0)
    # The box searches all partners, and other tests have an A-1 of their own.
    mine_only = search.find("A-1").filter(partner_id=shop.partner.pk)
    assert [found.object_id for found in mine_only] == [one.pk]
    waits = BaseRow.objects.get(external_id="A-1")
    assert (waits.person, waits.secrets) == ({}, {}), "what is personal stands in one place"
    assert violations(shop) == []
    batches.move(batch.pk)
    assert Subscription.objects.count() == 3, "a second call finds it done"


def test_a_delivered_key_is_sold_to_nobody_else(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=2)
    free = ActivationKey.objects.filter(pool__sku=offer.tariff.code).first()
    assert free is not None
    load(shop, [row(offer, keys=free.value), row(offer, external_id="A-2", keys="ELSEWHERE")])
    move(10)
    shop.deliver()
    service = Service.objects.get(subscription__moved_from__external_id="A-1")
    free.refresh_from_db()
    assert (free.state, free.request_id) == ("sold", service.request_id)
    assert KeyPool.objects.get(sku=offer.tariff.code).keys.filter(state="sold").count() == 2


def test_the_next_period_is_charged_once_at_the_old_price_by_the_old_token(shop: Shop) -> None:
    saved, offer = token(shop), shop.offer(delivery="key", keys=1, price="300.00")
    KeyPool.objects.filter(sku=offer.tariff.code).update(renewal="same_key")
    load(shop, [row(offer, price="199,00", discount_percent="10", token=saved)])
    before = len(shop.charges())
    due_day = clock.today() + timedelta(days=10)
    shop.until(due_day)
    assert len(shop.charges()) == before, "what only waits is not billed"
    load(shop, [row(offer, price="199,00", discount_percent="10", token=saved)])
    move(1)
    shop.deliver()
    one = Subscription.objects.get(moved_from__external_id="A-1")
    assert one.current_period_end
    shop.until(one.current_period_end)
    shop.hurry()
    assert [charge["amount"] for charge in shop.charges()[before:]] == ["179.10"]
    [invoice] = shop.invoices(one)
    assert (invoice.state, invoice.total) == (InvoiceState.PAID, Decimal("179.10"))
    one.refresh_from_db()
    assert shop.service(one).active_until == one.current_period_end
    assert violations(shop) == []
    with pytest.raises(Refused, match="batch_in_use") as refused:
        batches.undo(BaseBatch.objects.get().pk)
    assert refused.value.extra["rows"] == [["A-1", "уже выставлен счёт"]]


def test_a_month_end_keeps_its_day(shop: Shop) -> None:
    saved, offer = token(shop), shop.offer()
    today = clock.today()
    first = (today.replace(day=28) + timedelta(days=40)).replace(day=1)
    short = next(
        day
        for month in range(14)
        if (
            day := date(first.year + (first.month + month) // 12, (first.month + month) % 12 + 1, 1)
            - timedelta(1)
        ).day
        == 30
    )
    load(shop, [row(offer, next_charge_date=short, cycle_day="31", token=saved)])
    move(1)
    one = Subscription.objects.get(moved_from__external_id="A-1")
    shop.until(short)
    shop.hurry()
    one.refresh_from_db()
    assert one.current_period_end is not None
    assert one.current_period_end.day == 31
    assert violations(shop) == []


def test_a_day_that_came_meanwhile_stays_and_says_why(shop: Shop) -> None:
    offer = shop.offer()
    load(
        shop, [row(offer), row(offer, external_id="A-2", next_charge_date=clock.today() + timedelta(days=40))]
    )
    shop.until(clock.today() + timedelta(days=15))
    [batch] = move(10)
    assert (batch.moved, [key for key, _why in batch.left]) == (1, ["A-1"])
    waits = BaseRow.objects.get(external_id="A-1")
    assert (waits.state, waits.batch, waits.subscription) == (BaseRowState.WAITING, None, None)


def test_undone_it_waits_again_and_moves_again_as_itself(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=1)
    load(shop, [row(offer)])
    [batch] = move(1)
    shop.deliver()
    one = Subscription.objects.get(moved_from__external_id="A-1")
    methods.refuse_method(PaymentMethod.objects.get(subscriptions=one))
    shop.deliver()
    batches.undo(batch.pk, actor="anna")
    shop.deliver()
    one.refresh_from_db()
    assert (one.state, one.end_reason) == (SubscriptionState.ENDED, batches.BACK)
    assert shop.service(one).is_over
    assert not Fulfilment.objects.exists(), "the customer's key works on in the old system"
    assert not Due.objects.filter(partner_id=shop.partner.pk, object_id=one.pk).exists()
    assert violations(shop) == []
    with pytest.raises(Refused, match="batch_not_moved"):
        batches.undo(batch.pk)
    load(shop, [row(offer, price="99,00")])
    move(1)
    shop.deliver()
    one.refresh_from_db()
    assert (one.state, one.price, one.end_reason) == (SubscriptionState.ACTIVE, Decimal("99.00"), "")
    assert one.method is not None
    assert not one.method.is_active, "a refused card stays refused"
    assert (shop.service(one).state, shop.service(one).key) == (ServiceState.ACTIVE, "KEY-A-1")
    assert violations(shop) == []


def test_what_was_touched_is_not_undone(shop: Shop) -> None:
    offer, other = shop.offer(), shop.offer()
    load(shop, [row(offer), row(offer, external_id="A-2"), row(other, external_id="A-3")])
    [batch] = move(10)
    subscriptions.cancel(Subscription.objects.get(moved_from__external_id="A-1"))
    quantity = Subscription.objects.get(moved_from__external_id="A-2")
    changes.change(subscription=quantity, quantity=3)
    with pytest.raises(Refused, match="batch_in_use") as refused:
        batches.undo(batch.pk)
    assert [key for key, _why in refused.value.extra["rows"]] == ["A-1", "A-2"]
    assert Subscription.objects.filter(state=SubscriptionState.ACTIVE).count() == 3


def test_days_paid_elsewhere_are_not_given_back_nor_changed(shop: Shop) -> None:
    offer = shop.offer(price="300.00")
    load(shop, [row(offer)])
    move(1)
    one = Subscription.objects.get(moved_from__external_id="A-1")
    for refused in (
        lambda: changes.change(subscription=one, quantity=2, when=changes.NOW),
        lambda: pauses.pause(subscription=one),
    ):
        with pytest.raises(Refused, match="days_not_billed"):
            refused()
    outcome = changes.change(subscription=one, quantity=2)
    assert (outcome.state, outcome.start_date) == ("planned", one.current_period_end)


@pytest.mark.parametrize("point", batches.FAULT_POINTS[:2])
def test_a_batch_is_taken_up_where_it_died(shop: Shop, point: str) -> None:
    offer = shop.offer()
    load(shop, [row(offer, external_id=f"A-{n}") for n in range(1, 6)])
    batches.plan(count=5, size=2, actor="anna")
    with faults.crash_at(point, after=1), pytest.raises(faults.Crash):
        shop.deliver()
    shop.hurry()
    assert Subscription.objects.filter(state=SubscriptionState.ACTIVE).count() == 5
    assert Service.objects.count() == 5
    assert set(BaseBatch.objects.values_list("state", "moved")) == {("done", 2), ("done", 1)}
    assert violations(shop) == []


def test_an_undo_that_died_has_not_happened(shop: Shop) -> None:
    load(shop, [row(shop.offer())])
    [batch] = move(1)
    with faults.crash_at(batches.FAULT_POINTS[2]), pytest.raises(faults.Crash):
        batches.undo(batch.pk)
    assert Subscription.objects.get().state == SubscriptionState.ACTIVE
    batches.undo(batch.pk)
    assert Subscription.objects.get().state == SubscriptionState.ENDED


def test_an_erased_customer_is_gone_from_what_waits(shop: Shop) -> None:
    load(shop, [row(shop.offer(), phone="+79161112233")])
    [batch] = move(1)
    batches.undo(batch.pk)
    customers.erase(Customer.objects.get(phone="+79161112233"))
    shop.deliver()
    waits = BaseRow.objects.get()
    assert (waits.person, waits.secrets) == ({}, {})
    [batch] = move(1)
    assert (batch.moved, batch.left) == (0, [["A-1", "данные клиента стёрты"]])
    assert not Subscription.objects.filter(state=SubscriptionState.ACTIVE).exists()


def test_moving_is_due_work() -> None:
    assert batches.MOVE in due.kinds("billing")


_ROW = "(SELECT min(id::text)::uuid FROM billing_baserow)"
CORRUPTIONS = [
    ("billing.moved-or-waits", "UPDATE billing_baserow SET state = 'waiting'"),
    ("billing.moved-or-waits", f"UPDATE billing_baserow SET subscription_id = NULL WHERE id = {_ROW}"),
    ("billing.moved-or-waits", f"UPDATE billing_baserow SET price = price + 1 WHERE id = {_ROW}"),
    ("billing.moved-or-waits", "UPDATE billing_subscriptionphase SET kind = 'regular' WHERE kind = 'moved'"),
    ("billing.batch-adds-up", "UPDATE billing_basebatch SET moved = moved + 1"),
    ("billing.batch-adds-up", f"UPDATE billing_baserow SET batch_id = NULL WHERE id = {_ROW}"),
    ("billing.batch-adds-up", "UPDATE billing_basebatch SET state = 'planned'"),
    ("billing.mass-agreed", "UPDATE billing_massaction SET confirmed_at = NULL"),
    ("billing.mass-agreed", "UPDATE billing_massaction SET state = 'running'"),
    (
        "billing.live-is-planned",
        "UPDATE billing_subscription SET current_period_end = current_period_end + 1 WHERE parent_id IS NULL",
    ),
    ("orders.service-within-paid", "UPDATE orders_service SET active_until = active_until + 1"),
]


def test_the_auditor_sees_what_was_moved_wrongly(shop: Shop) -> None:
    offer = shop.offer()
    load(shop, [row(offer), row(offer, external_id="A-2")])
    move(2)
    shop.deliver()
    mine = Subscription.objects.get(moved_from__external_id="A-1")
    action = actions.create(
        kind="extend", params={"days": 3}, subscription_ids=[mine.pk], reason="Сбой", actor="anna"
    )
    shop.hurry()
    actions.confirm(action.pk, actor="anna")
    shop.hurry()
    assert violations(shop) == []
    for rule, corruption in CORRUPTIONS:
        assert found(rule, lambda corruption=corruption: execute(corruption)), corruption


def test_who_moved_in_with_a_product_has_no_trial_of_it_again(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=3, price="300.00", trial_days=14)
    other = shop.offer(price="100.00", trial_days=14)
    load(shop, [row(offer, phone="+79161112233", email="anna@example.ru")])
    [batch] = move(10)
    shop.deliver()
    mine = Subscription.objects.get(moved_from__external_id="A-1")
    assert mine.state == SubscriptionState.ACTIVE
    # The same person by another door: by the phone, by the e-mail, or as the one who is known.
    for contacts in ({"phone": "+79161112233"}, {"email": "anna@example.ru"}):
        person = customers.register(**contacts)
        assert trials.had(person, mine.product_id)
        with pytest.raises(Refused, match="trial_used"):
            shop.order(offer, customer=person)
    assert not trials.had(mine.customer, other.tariff.product_id)
    assert not trials.had(customers.register(phone="+79990001122"), mine.product_id)
    assert violations(shop) == []
    batches.undo(batch.pk, actor="anna")
    assert not trials.had(mine.customer, mine.product_id)
    move(10)
    shop.deliver()
    assert trials.had(mine.customer, mine.product_id)
    assert violations(shop) == []
