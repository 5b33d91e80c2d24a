"""A product is given out in steps: one after another, by providers and by people; what fails for good is undone."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from apps.billing.models import Subscription
from apps.catalog import plans
from apps.catalog.models import Offer, Product
from apps.catalog.plans import Step
from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.fields import Translated
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.orders import fulfilment, services, tasks, watching
from apps.orders.models import Fulfilment, Order, Service
from apps.orders.task_models import Task
from apps.providers.models import Provider
from apps.sandbox.control import Control
from tests.orders.races import Both, Runner, run
from tests.orders.shop import Shop
from tests.orders.test_lanes import bought as bought_in_lanes

__all__ = ["run"]
CALL = Step("manual", Translated(ru="Позвонить клиенту", en="Call the customer"), minutes=60, undo="manual")
GIVE = Step("provision", Translated(ru="Выдать"))
WRITE = Step("notify", Translated(ru="Письмо"), text=Translated(ru="Мы начали", en="We have begun"))
WAIT = Step("wait", Translated(ru="Дождаться ответа"), minutes=30)


@pytest.fixture
def at_shop(shop: Shop) -> Any:
    with in_partner(shop.partner):
        yield shop


def planned(shop: Shop, *steps: Step, promised: int | None = None, **terms: Any) -> Offer:
    offer = shop.offer(**terms)
    plans.save(offer.tariff.product, steps, promised_minutes=promised, actor="admin")
    return Offer.objects.get(pk=offer.pk)


def register(shop: Shop) -> Step:
    """At another provider, which speaks the same protocol."""
    own = Connection.objects.get(pk=shop.provider.test_connection_id)
    other, _new = Provider.objects.get_or_create(
        code=f"{shop.partner.slug}-crm",
        defaults={"name": f"Реестр {shop.partner.slug}", "test_connection": own},
    )
    return Step("register", Translated(ru="Зарегистрировать"), provider_id=other.pk, undo="provider")


def bought(shop: Shop, offer: Offer) -> Fulfilment:
    shop.buy(offer)
    return Fulfilment.objects.get(action="provision")


def states(row: Fulfilment) -> list[str]:
    return [one.state for one in row.tasks.order_by("position")]


def there(provider: Control, row: Fulfilment) -> dict[str, str]:
    """What the provider's own register says of everything that it was asked for about a fulfilment."""
    keys = {str(row.pk), *(str(one.pk) for one in row.tasks.all())}
    rows = provider.register()["activations"]
    return {one["request_id"]: one["status"] for one in rows if one["request_id"] in keys}


def is_whole(shop: Shop) -> None:
    assert [str(one) for one in audit.run([shop.partner.pk])] == []


def test_steps_are_done_one_after_another(at_shop: Shop, provider_sim: Control) -> None:
    row = bought(at_shop, planned(at_shop, WRITE, register(at_shop), CALL, GIVE))
    assert (row.state, states(row)) == ("needs_staff", ["done", "done", "waiting", "pending"])
    assert Service.objects.get().state == "pending_active"
    letter = Message.objects.get(type="fulfilment_step")
    assert "Мы начали" in letter.text
    task = row.tasks.get(kind="manual")
    tasks.claim(task, actor="olga")
    with pytest.raises(Refused, match="Задачу взял olga"):
        tasks.complete(task, actor="ivan")
    tasks.complete(task, actor="olga", comment="Согласен")
    at_shop.deliver()
    row.refresh_from_db()
    assert (row.state, states(row)) == ("done", ["done"] * 4)
    assert (Service.objects.get().state, Order.objects.get().state) == ("active", "completed")
    assert sorted(there(provider_sim, row).values()) == ["active", "active"]
    assert row.notes.get().text == "Согласен"
    is_whole(at_shop)


def test_what_was_done_is_undone_in_reverse_and_the_money_goes_back(
    at_shop: Shop, provider_sim: Control
) -> None:
    row = bought(at_shop, planned(at_shop, CALL, register(at_shop), GIVE, WAIT))
    tasks.complete(row.tasks.get(kind="manual"), actor="olga")
    at_shop.deliver()
    row.refresh_from_db()
    assert (row.state, states(row)) == ("in_progress", ["done", "done", "done", "waiting"])
    assert Service.objects.get().state == "active"
    fulfilment.fail(row, "Банк отказал клиенту", actor="olga")
    at_shop.deliver()
    row.refresh_from_db()
    assert states(row) == ["compensating", "compensated", "compensated", "failed"]
    assert (row.state, Service.objects.get().state) == ("compensating", "terminated")
    assert set(there(provider_sim, row).values()) == {"canceled"}
    assert at_shop.gateway.register(shop=at_shop.partner.slug)["refunds"] == []
    is_whole(at_shop)
    tasks.complete(row.tasks.get(kind="manual"), actor="olga")
    at_shop.deliver()
    row.refresh_from_db()
    assert (row.state, row.failure) == ("failed", "Банк отказал клиенту")
    assert (Order.objects.get().state, Subscription.objects.get().state) == ("failed", "cancelled")
    [back] = at_shop.gateway.register(shop=at_shop.partner.slug)["refunds"]
    assert Decimal(back["amount"]) == Decimal("149.00")
    is_whole(at_shop)


@pytest.mark.parametrize("point", fulfilment.UNDO_POINTS)
def test_a_crash_while_it_is_given_up(at_shop: Shop, provider_sim: Control, point: str) -> None:
    row = bought(at_shop, planned(at_shop, register(at_shop), GIVE, CALL))

    def give_up() -> None:
        fulfilment.fail(row, "Не выйдет", actor="olga")
        at_shop.deliver()

    with faults.crash_at(point), pytest.raises(faults.Crash):
        give_up()
    if Fulfilment.objects.get(pk=row.pk).state == "needs_staff":
        fulfilment.fail(row, "Не выйдет", actor="olga")
    at_shop.hurry()
    row.refresh_from_db()
    assert (row.state, Order.objects.get().state) == ("failed", "failed")
    assert set(there(provider_sim, row).values()) == {"canceled"}
    [back] = at_shop.gateway.register(shop=at_shop.partner.slug)["refunds"]
    assert Decimal(back["amount"]) == Decimal("149.00")
    is_whole(at_shop)


@Both
def test_two_take_one_task(shop: Shop, run: Runner, locked: bool) -> None:
    task = bought(shop, planned(shop, CALL, GIVE)).tasks.get(kind="manual")
    done = run(
        lambda: tasks.claim(task, actor="one"),
        (tasks, "_must_be_free"),
        lambda: tasks.claim(task, actor="two"),
        Fulfilment,
        Service,
    )
    # Without the lock both believe that it is theirs.
    assert isinstance(done.second, Refused) is locked


@Both
def test_a_task_is_done_while_it_is_given_up(shop: Shop, run: Runner, locked: bool) -> None:
    row = bought(shop, planned(shop, CALL, GIVE))
    task = row.tasks.get(kind="manual")
    run(
        lambda: tasks.complete(task, actor="one"),
        (tasks, "_must_be_free"),
        lambda: fulfilment.fail(row, "Не выйдет", actor="two"),
        Fulfilment,
        Service,
    )
    row.refresh_from_db()
    # Without the lock it is delivered all the same, and its money goes back.
    assert row.state == ("compensating" if locked else "done")


def test_without_a_plan_it_fails_too(at_shop: Shop, provider_sim: Control) -> None:
    provider_sim.fault("out_of_stock")
    row = bought(at_shop, at_shop.offer())
    assert row.state in {"needs_staff", "retry"}
    fulfilment.fail(row, "Товара больше нет", actor="olga")
    at_shop.deliver()
    row.refresh_from_db()
    assert (row.state, Order.objects.get().state) == ("failed", "failed")
    assert len(at_shop.gateway.register(shop=at_shop.partner.slug)["refunds"]) == 1
    is_whole(at_shop)


def test_nothing_is_done_while_it_is_held(at_shop: Shop, provider_sim: Control) -> None:
    provider_sim.fault("pending", seconds=0.01)
    row = bought(at_shop, at_shop.offer())
    assert row.state == "in_progress"
    fulfilment.hold(row, "Клиент просил подождать", actor="olga")
    at_shop.hurry()
    row.refresh_from_db()
    assert (row.state, WorkItem.objects.filter(object_id=row.pk).count()) == ("held", 1)
    is_whole(at_shop)
    fulfilment.resume(row, actor="olga")
    at_shop.hurry()
    row.refresh_from_db()
    assert (row.state, WorkItem.objects.filter(object_id=row.pk).count()) == ("done", 0)
    is_whole(at_shop)


def test_an_order_without_a_plan_has_no_task_and_is_not_watched(at_shop: Shop) -> None:
    row = bought(at_shop, planned(at_shop, promised=30))
    assert (row.state, Task.objects.count()) == ("done", 0)
    assert row.promised_at is not None
    assert not Due.objects.filter(partner_id=at_shop.partner.pk, kind="orders.watch").exists()


def test_a_promise_in_danger_is_told_before_it_is_missed(at_shop: Shop, provider_sim: Control) -> None:
    provider_sim.fault("http_503", times=100, committed=False)
    row = bought(at_shop, planned(at_shop, promised=60))
    assert row.promised_at is not None
    at_shop.move(at_shop.partner, row.promised_at - timedelta(minutes=14))
    row.refresh_from_db()
    assert row.jeopardy_at is not None
    assert row.jeopardy_at < row.promised_at
    item = WorkItem.objects.get(kind=fulfilment.KIND, object_id=row.pk)
    assert (item.deadline_at, "Под угрозой срока" in item.reason) == (row.promised_at, True)
    at_shop.move(at_shop.partner, row.promised_at + timedelta(minutes=1))
    assert "Срок прошёл" in WorkItem.objects.get(object_id=row.pk).reason
    assert clock.now() > row.promised_at


def test_a_promise_is_watched_of_what_was_never_tried(at_shop: Shop) -> None:
    bought_in_lanes(at_shop, planned(at_shop, promised=60))
    row = Fulfilment.objects.get()
    assert (row.state, row.attempts) == ("queued", 0)
    assert row.promised_at is not None
    with in_public():
        planned_look = Due.objects.get(kind=watching.WATCH, object_id=row.pk)
    assert planned_look.due_at == row.promised_at - timedelta(minutes=15)


def test_papers_about_an_erased_customer_go(at_shop: Shop) -> None:
    row = bought(at_shop, planned(at_shop, CALL, GIVE))
    tasks.attach(row, name="паспорт.pdf", content=b"%PDF-1.7", actor="olga", text="Паспорт Анны")
    with transaction.atomic():
        services.customer_erased(row.service.customer_id)
    note = row.notes.get()
    assert (note.text, note.content, note.file_name) == ("", None, "")


def test_a_plan_is_checked(at_shop: Shop) -> None:
    product = at_shop.offer().tariff.product
    for wrong, told in (
        ([CALL], "ровно один шаг"),
        ([GIVE, GIVE], "ровно один шаг"),
        ([GIVE, Step("manual", Translated(ru="Звонок"))], "укажите срок"),
        ([GIVE, Step("register", Translated(ru="Учёт"))], "укажите поставщика"),
        ([GIVE, Step("notify", Translated(ru="Письмо"))], "напишите текст"),
        ([GIVE, Step("wait", Translated(), minutes=1)], "назовите"),
    ):
        with pytest.raises(Refused, match=told):
            plans.save(product, wrong)
    assert Product.objects.get(pk=product.pk).plan is None
