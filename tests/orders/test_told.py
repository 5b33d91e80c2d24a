"""What a provider tells by itself, where it cannot be asked: its word is taken for what it can be about alone."""

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from apps.catalog import plans
from apps.catalog.models import Offer
from apps.catalog.plans import Step
from apps.connectors import webhooks
from apps.connectors.models import Connection, InboundMessage
from apps.core import clock
from apps.core.fields import Translated
from apps.core.models import Due, WorkItem
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.orders import fulfilment, history, resting
from apps.orders.models import Fulfilment, Order, Service
from apps.orders.services import switch_off
from apps.providers import definitions
from apps.providers.models import Provider
from apps.sandbox.control import Control
from tests.conftest import eventually
from tests.orders.shop import Shop
from tests.orders.test_plans import CALL, GIVE, is_whole, states
from tests.providers import declared
from tests.test_browser_walk import site

__all__ = ["site"]

NO_STATUS = copy.deepcopy(declared.LATER)
"""An asynchronous provider that tells, and cannot be asked; while it is closed to us it has done nothing."""
del NO_STATUS["operations"]["status"]
NO_STATUS["operations"]["suspend"] = NO_STATUS["operations"]["extend"]
NO_STATUS["answer"]["codes"]["retry"].append("503")
NO_STATUS["answer"]["states"]["inquiring"] = ["needs_info"]
NO_STATUS["answer"]["paths"]["question"] = "$.ask"


@pytest.fixture
def line(shop: Shop, foreign: Control) -> Iterator[Connection]:
    """The connection of such a provider, which never gets ready by itself. The shop's partner is current."""
    foreign.fault("pending", times=10, match={"operation": "subscribe"})
    made = declared.connect(declared.live(NO_STATUS), foreign, "async", is_test=True)
    with in_partner(shop.partner):
        yield made


@pytest.fixture
def own(shop: Shop, line: Connection) -> Connection:
    """It supplies the shop's products."""
    Provider.objects.filter(pk=shop.provider.pk).update(test_connection=line)
    shop.provider.refresh_from_db()
    return line


def says(line: Connection, request_id: UUID, word: str, **more: Any) -> str:
    """A signed message about a request; what became of it."""
    content = json.dumps({"clientRef": str(request_id), "status": word, **more}).encode()
    digest = hmac.new(declared.CALLBACK_SECRET.encode(), content, hashlib.sha256).digest()
    headers = {"x-hub-signature": f"sha256={base64.b64encode(digest).decode()}"}
    with in_public():
        key = webhooks.store(line, method="POST", query="", headers=headers, body=content)
        webhooks.process(key)
        return str(InboundMessage.objects.get(pk=key).state)


KEY = {"license": {"code": "AAAA-1111"}}


def the(action: str) -> Fulfilment:
    return Fulfilment.objects.select_related("service").get(action=action)


def bought(shop: Shop) -> Fulfilment:
    """An order that its provider has taken on."""
    shop.buy(shop.offer())
    row = the("provision")
    assert row.state == "in_progress"
    return row


def given(shop: Shop, line: Connection) -> Service:
    """Told that it is ready."""
    row = bought(shop)
    assert says(line, row.pk, "ready", **KEY) == "done"
    shop.deliver()
    row = the("provision")
    assert (row.state, row.service.state, row.service.key) == ("done", "active", "AAAA-1111")
    assert Order.objects.get().state == "completed"
    return row.service


def is_hurried(row: Fulfilment) -> bool:
    return Due.objects.get(kind=fulfilment.FULFIL, object_id=row.pk).due_at <= clock.wall()


def test_ready_is_no_word_of_what_was_asked_for_since(shop: Shop, own: Connection, foreign: Control) -> None:
    service = given(shop, own)
    fulfilment.add(service, "extend", period_end=service.active_until + timedelta(days=30))
    shop.deliver()
    row = the("extend")
    assert (row.state, is_hurried(row)) == ("in_progress", False)
    until = the("extend").service.active_until
    says(own, service.request_id, "ready", **KEY, sent="later")
    row = the("extend")
    assert (row.state, row.service.active_until) == ("in_progress", until)
    # It may be about it: the provider is asked once more, at once.
    assert is_hurried(row)
    shop.deliver()
    assert the("extend").state == "in_progress"
    with transaction.atomic():
        resting.rest(Service.objects.select_for_update().get(), "Пауза")
    shop.deliver()
    assert the("suspend").state == "in_progress"
    says(own, service.request_id, "ready", **KEY, sent="later still")
    assert (the("suspend").state, the("extend").state) == ("in_progress", "in_progress")


def test_what_is_to_be_taken_back_stays_open_until_the_provider_says_so(
    shop: Shop, own: Connection, foreign: Control
) -> None:
    service = given(shop, own)
    foreign.fault("http_503", committed=False, match={"operation": "close"})
    with transaction.atomic():
        switch_off(Service.objects.select_for_update().get(), "Отказ")
    shop.deliver()
    row = the("cancel")
    assert (row.state, is_hurried(row)) == ("retry", False)
    says(own, service.request_id, "ready", **KEY, sent="later")
    row = the("cancel")
    assert (row.state, row.service.state, is_hurried(row)) == ("retry", "pending_terminate", False)
    says(own, service.request_id, "in_progress")
    says(own, service.request_id, "declined", fault="never", sent="later")
    assert the("cancel").state == "retry"
    says(own, service.request_id, "closed")
    row = the("cancel")
    assert (row.state, row.service.state) == ("revoked", "terminated")


def test_closed_while_it_was_being_made_stands_with_staff(shop: Shop, own: Connection) -> None:
    row = bought(shop)
    says(own, row.pk, "closed")
    row = the("provision")
    assert (row.state, row.service.state) == ("needs_staff", "pending_active")
    assert "отозвал" in row.error


def questions(row: Fulfilment) -> list[str]:
    return list(
        WorkItem.objects.filter(kind=fulfilment.KIND, object_id=row.pk).values_list("reason", flat=True)
    )


def test_what_a_provider_asks_stands_with_staff(shop: Shop, own: Connection) -> None:
    row = bought(shop)
    says(own, row.pk, "needs_info", ask="Какой регион?")
    assert [one.endswith("Поставщик спрашивает: Какой регион?") for one in questions(row)] == [True]
    assert the("provision").state == "in_progress"
    WorkItem.objects.filter(object_id=row.pk).delete()
    # Told again it is no other question.
    says(own, row.pk, "needs_info", ask="Какой регион?", sent="later")
    assert questions(row) == []
    says(own, row.pk, "needs_info", ask="А город?")
    assert len(questions(row)) == 1
    says(own, row.pk, "ready", **KEY)
    assert (the("provision").state, questions(row)) == ("done", [])


def test_a_provider_that_is_asked_may_ask_too(shop: Shop, foreign: Control) -> None:
    document = copy.deepcopy(declared.LATER)
    document["answer"]["states"] |= {"pending": [], "inquiring": ["in_progress"]}
    document["answer"]["paths"]["question"] = "$.plan"
    foreign.fault("pending", seconds=1.0, match={"operation": "subscribe"})
    made = declared.connect(declared.live(document), foreign, "async", is_test=True)
    Provider.objects.filter(pk=shop.provider.pk).update(test_connection=made)
    shop.provider.refresh_from_db()
    with in_partner(shop.partner):
        row = bought(shop)
        assert [one.endswith("что именно, смотрите у поставщика") for one in questions(row)] == [True]

        def is_done() -> bool:
            shop.hurry()
            return the("provision").state == "done"

        eventually(is_done)
        assert questions(row) == []


def test_of_several_words_that_are_read_together_none_is_lost(shop: Shop, own: Connection) -> None:
    """«In progress» that came late hides no «ready»."""
    row = bought(shop)
    keys = []
    for word in ("ready", "in_progress"):
        content = json.dumps({"clientRef": str(row.pk), "status": word, **KEY}).encode()
        digest = hmac.new(declared.CALLBACK_SECRET.encode(), content, hashlib.sha256).digest()
        signed = {"x-hub-signature": f"sha256={base64.b64encode(digest).decode()}"}
        with in_public():
            keys.append(webhooks.store(own, method="POST", query="", headers=signed, body=content))
    with in_public():
        webhooks.process_many(keys)
    assert (the("provision").state, the("provision").service.key) == ("done", "AAAA-1111")


def test_a_provider_that_still_has_it_has_not_taken_it_back(
    shop: Shop, own: Connection, foreign: Control
) -> None:
    """Answered «ready» to a request to close, as by a provider that does it tomorrow."""
    given(shop, own)
    document = copy.deepcopy(NO_STATUS)
    document["answer"]["states"] = {"active": ["ready", "closed"], "pending": ["in_progress"]}
    other = declared.connect(declared.live(document), foreign, "async", is_test=True)
    Connection.objects.filter(pk=own.pk).update(config=other.config)
    with transaction.atomic():
        switch_off(Service.objects.select_for_update().get(), "Отказ")
    shop.deliver()
    row = the("cancel")
    assert (row.state, row.service.state) == ("unknown", "pending_terminate")
    assert "не сказал, что услуга отозвана" in row.error


def registered_there(shop: Shop, line: Connection, *more: Step) -> Offer:
    """A product whose provider answers at once, and is registered before that where nobody can be asked."""
    code = f"{shop.partner.slug}-crm"
    other = Provider.objects.create(code=code, name=f"Реестр {shop.partner.slug}", test_connection=line)
    step = Step("register", Translated(ru="Зарегистрировать"), provider_id=other.pk, undo="provider")
    offer = shop.offer()
    plans.save(offer.tariff.product, (step, GIVE, *more), promised_minutes=None, actor="admin")
    return Offer.objects.get(pk=offer.pk)


def test_a_step_at_another_provider_ends_and_is_undone_by_its_word(
    shop: Shop, line: Connection, foreign: Control
) -> None:
    shop.buy(registered_there(shop, line, CALL))
    row = the("provision")
    task = row.tasks.get(kind="register")
    assert (row.state, task.state) == ("in_progress", "active")
    # Of the service itself it has nothing to say.
    says(line, row.pk, "ready")
    assert the("provision").step == task.position
    assert says(line, task.pk, "ready") == "done"
    shop.deliver()
    row = the("provision")
    assert (row.state, row.service.state, states(row)) == (
        "needs_staff",
        "active",
        ["done", "done", "waiting"],
    )
    is_whole(shop)
    # Told again, it changes nothing.
    says(line, task.pk, "ready", sent="later")
    assert states(the("provision")) == ["done", "done", "waiting"]
    foreign.fault("http_503", committed=False, times=10, match={"operation": "close"})
    fulfilment.fail(row, "Банк отказал", actor="olga")
    shop.deliver()
    task.refresh_from_db()
    assert (the("provision").state, task.state) == ("compensating", "compensating")
    says(line, task.pk, "ready", sent="later still")
    task.refresh_from_db()
    assert task.state == "compensating"
    says(line, task.pk, "closed")
    shop.deliver()
    task.refresh_from_db()
    assert (task.state, the("provision").state) == ("compensated", "failed")


def test_a_step_that_another_provider_refuses_stands_with_staff(shop: Shop, line: Connection) -> None:
    shop.buy(registered_there(shop, line))
    task = the("provision").tasks.get(kind="register")
    says(line, task.pk, "declined", fault="no_such_person")
    row = the("provision")
    assert (row.state, "no_such_person" in row.error) == ("needs_staff", True)


ACTIVATIONS: dict[str, Any] = {
    "format": 1,
    "base_url": "https://provider.example",
    "auth": {"type": "bearer"},
    "operations": {
        "provision": {
            "method": "POST",
            "path": "/v1/activations",
            "body_kind": "json",
            "body": {
                "request_id": "{{ request_id }}",
                "sku": "{{ sku }}",
                "customer_ref": "{{ customer_ref }}",
                "period_end": "{{ period_end }}",
            },
            "repeat_safe": True,
        },
    },
    "answer": {
        "paths": {"status": "$.status", "service_id": "$.id", "key": "$.key", "url": "$.url"},
        "states": {"active": ["active"], "pending": ["pending"], "failed": ["failed"]},
    },
    "delivery": "callback",
    "callback": {
        "verify": "hmac",
        "header": "X-Signature",
        "answer": {"paths": {"request_id": "$.request_id"}},
    },
}
"""Our simulated provider, as staff would describe it: signed by the account's token, and asked nothing."""


def test_a_provider_that_tells_all_twice_delivers_once(shop: Shop, provider_sim: Control, site: str) -> None:
    account = shop.partner.slug
    with in_public():
        config = {"definition": declared.live(ACTIVATIONS).definition.code, "base_url": provider_sim.base_url}
        made = Connection.objects.create(
            kind="provider",
            connector=definitions.CONNECTOR,
            name=f"Дважды {account}",
            is_test=True,
            config={**config, "secret": account, "callback_secret": account},
        )
    Provider.objects.filter(pk=shop.provider.pk).update(test_connection=made)
    shop.provider.refresh_from_db()
    provider_sim.mode(account, "duplicating", callback_url=f"{site}/hooks/{made.pk}/")
    # Its answer is lost: but for its messages nobody here knows that it is done.
    provider_sim.fault("drop_answer", match={"operation": "activate", "account": account})
    with in_partner(shop.partner):
        shop.buy(shop.offer())
        row = the("provision")
        # Its next attempt is not what delivers it.
        Due.objects.filter(kind=fulfilment.FULFIL, object_id=row.pk).update(
            due_at=clock.wall() + timedelta(days=1)
        )

        def heard() -> bool:
            with in_public():
                run_once(lanes=False)
            return the("provision").state == "done"

        eventually(heard)
        eventually(lambda: [one["status"] for one in provider_sim.told(account)].count(200) == 2)
        with in_public():
            message = InboundMessage.objects.get(connection=made)
            assert (message.state, message.copies >= 1) == ("done", True)
            # Read again, it gives out nothing again.
            webhooks.process(message.pk)
        shop.hurry()
        row = the("provision")
        assert [one.became for one in history.of(row)].count("done") == 1
        assert Message.objects.filter(type="key_delivered").count() == 1
        assert (Service.objects.get().state, Order.objects.get().state) == ("active", "completed")
        [theirs] = [one for one in provider_sim.register()["activations"] if one["request_id"] == str(row.pk)]
        assert (theirs["key"], row.attempts) == (row.service.key, 1)
        is_whole(shop)
