"""A partner's own service charges its clients: once, whatever becomes of the answer; forged ones change nothing."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from apps.billing import asking_partner, invoices
from apps.billing.models import Invoice, InvoiceState, Subscription
from apps.billing.paperwork import ChargeRequest
from apps.billing.partner_service import is_signed, signature
from apps.connectors import webhooks
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection, InboundMessage
from apps.core import audit, clock, faults
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_public
from apps.partners.models import LegalEntity
from apps.sandbox.control import Control
from tests.billing.test_partner_pays import offered, sold
from tests.orders.shop import Shop


@pytest.fixture
def service(shop: Shop, partner_sim: Control, operator: LegalEntity) -> Connection:
    """The partner's own billing, at the simulator."""
    partner_sim.add_shop(shop.partner.slug, "secret")
    with in_public():
        made = Connection.objects.create(
            kind="partner",
            connector="apps.billing.partner_service.PartnerService",
            name=f"Биллинг {shop.partner}",
            config={"url": f"{partner_sim.base_url}/{shop.partner.slug}", "secret": "secret"},
            legal_entity=operator,
            partner=shop.partner,
            is_test=True,
        )
    return made


def bought(shop: Shop) -> tuple[Subscription, ChargeRequest]:
    subscription = sold(shop, offered(shop, "partner_charges"))
    return subscription, ChargeRequest.objects.latest("pk")


def look(shop: Shop, made: ChargeRequest) -> ChargeRequest:
    """The next planned look, now."""
    Due.objects.filter(kind=asking_partner.SEND, object_id=made.pk).update(due_at=clock.wall())
    shop.deliver()
    made.refresh_from_db()
    return made


def taken(shop: Shop, partner_sim: Control) -> list[dict[str, Any]]:
    """What the partner has really charged."""
    rows = partner_sim.register(shop=shop.partner.slug)["charges"]
    return [row for row in rows if row["status"] == "charged"]


def agree(shop: Shop, partner_sim: Control) -> None:
    ours = {str(row.pk): str(row.amount) for row in ChargeRequest.objects.filter(state="charged")}
    assert {row["id"]: row["amount"] for row in taken(shop, partner_sim)} == ours
    assert [str(one) for one in audit.run([shop.partner.pk])] == []


def test_charged_at_once_and_renewed(shop: Shop, service: Connection, partner_sim: Control) -> None:
    subscription, made = bought(shop)
    assert made.state == "charged"
    assert made.reference.startswith("TX-")
    subscription.refresh_from_db()
    assert subscription.state == "active"
    shop.until(subscription.current_period_end + timedelta(days=1))
    assert [row.state for row in ChargeRequest.objects.all()] == ["charged", "charged"]
    agree(shop, partner_sim)
    with in_public():
        assert "отвечает" in service.open().check()


def test_answered_later_by_a_signed_message(
    shop: Shop, service: Connection, partner_sim: Control, client_for: Callable[..., Client]
) -> None:
    partner_sim.fault("pending", match={"shop": shop.partner.slug})
    subscription, made = bought(shop)
    assert made.state == "waiting"
    partner_sim.settle(str(made.pk))
    [told] = [row for row in partner_sim.webhooks() if row["payment_id"] == str(made.pk)]

    def post(content: str, headers: dict[str, str]) -> list[str]:
        """States of all messages, in order, once this one is processed."""
        with in_public():
            client = client_for(None, **headers)
            client.post(f"/hooks/{service.pk}/", content, content_type="application/json")
            mine = InboundMessage.objects.filter(connection=service).order_by("pk")
            for message in mine:
                webhooks.process(message.pk)
            return list(mine.values_list("state", flat=True))

    header = {name: value for name, value in told["headers"].items() if name.startswith("X-")}
    assert post(told["content"].replace("charged", "refused"), header) == ["rejected"]
    forged = {"X-Armor-Signature": signature("other", told["content"].encode(), int(time.time()))}
    assert post(told["content"], forged) == ["rejected", "rejected"]
    made.refresh_from_db()
    assert made.state == "waiting"
    # The very bytes that a forger has sent before: what was signed wrongly does not stand in the way.
    assert post(told["content"], header) == ["rejected", "rejected", "done"]
    shop.deliver()
    made.refresh_from_db()
    subscription.refresh_from_db()
    assert (made.state, subscription.state) == ("charged", "active")
    agree(shop, partner_sim)


@pytest.mark.parametrize("fault", ["drop_answer", "http_500", "http_503", "http_429"])
def test_a_lost_answer_charges_nobody_twice(
    shop: Shop, service: Connection, partner_sim: Control, fault: str
) -> None:
    partner_sim.fault(fault, match={"operation": "charge", "shop": shop.partner.slug})
    _subscription, made = bought(shop)
    assert made.state == "waiting"
    assert look(shop, made).state == "charged"
    assert len(taken(shop, partner_sim)) == 1
    agree(shop, partner_sim)


@pytest.mark.parametrize("point", asking_partner.FAULT_POINTS)
def test_a_death_at_any_point_charges_nobody_twice(
    shop: Shop, service: Connection, partner_sim: Control, point: str
) -> None:
    with faults.crash_at(point):
        try:
            bought(shop)
        except faults.Crash:
            pass
    shop.hurry()
    made = look(shop, ChargeRequest.objects.get())
    assert made.state == "charged"
    assert len(taken(shop, partner_sim)) == 1
    agree(shop, partner_sim)


def test_a_refusal_ends_a_first_sale(shop: Shop, service: Connection, partner_sim: Control) -> None:
    partner_sim.fault("refuse", match={"shop": shop.partner.slug}, reason="no_funds")
    subscription, made = bought(shop)
    subscription.refresh_from_db()
    assert (made.state, made.reason, subscription.state) == ("refused", "no_funds", "ended")
    agree(shop, partner_sim)


def test_another_sum_and_a_charge_that_was_called_off_stand_before_staff(
    shop: Shop, service: Connection, partner_sim: Control
) -> None:
    partner_sim.fault("less", match={"shop": shop.partner.slug})
    _subscription, made = bought(shop)
    assert made.state == "waiting"
    assert "Списать нужно было" in WorkItem.objects.get(object_id=made.pk).reason
    partner_sim.fault("pending", match={"shop": shop.partner.slug})
    _subscription, late = bought(shop)
    invoice = Invoice.objects.get(pk=late.invoice_id)
    with transaction.atomic():
        invoices.void(invoices.locked(invoice.pk))
    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.VOID
    partner_sim.settle(str(late.pk))
    asking_partner.record(late.pk, service.open().fetch(asking_partner._order(late, invoice)))
    assert "уже есть ответ" in WorkItem.objects.get(object_id=late.pk).reason


def test_a_silent_service_is_asked_again_and_shown_to_staff(
    shop: Shop, service: Connection, partner_sim: Control
) -> None:
    partner_sim.switch(on=False)
    _subscription, made = bought(shop)
    ChargeRequest.objects.filter(pk=made.pk).update(asked_at=clock.wall() - timedelta(hours=3))
    look(shop, made)
    assert "не ответил" in WorkItem.objects.get(object_id=made.pk).reason
    partner_sim.switch(on=True)
    assert look(shop, made).state == "charged"
    assert not WorkItem.objects.filter(object_id=made.pk).exists()
    agree(shop, partner_sim)


def test_without_a_service_the_partner_polls_as_before(shop: Shop) -> None:
    _subscription, made = bought(shop)
    assert (made.state, made.connection_id, made.asked_at) == ("waiting", None, None)


def test_a_wrong_key_is_told_on_the_connection(shop: Shop, service: Connection) -> None:
    with in_public():
        service.config = {**service.config, "secret": "wrong"}
        with pytest.raises(ConnectorError):
            service.open().check()


def test_signatures() -> None:
    body, now = b'{"id": "1"}', 1_700_000_000
    # Computed by hand: HMAC-SHA256 of the seconds, a dot and the body.
    assert signature("whsec_test", b'{"id":"evt_1"}', now) == (
        "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925"
    )
    good = signature("secret", body, now)
    assert is_signed("secret", good, body, now + 299)
    assert not is_signed("secret", good, body, now + 301)
    assert not is_signed("secret", good, body + b" ", now)
    assert not is_signed("other", good, body, now)
    for bad in ("", "t=,v1=", "t=²,v1=x", good.replace("t=", "t=1"), f"v1={good[-64:]}"):
        assert not is_signed("secret", bad, body, now)


def test_a_message_is_as_old_as_when_it_came_however_late_it_is_read(
    shop: Shop, service: Connection, partner_sim: Control, client_for: Callable[..., Client]
) -> None:
    """Workers that stood still for an hour do not make true messages forged; one that comes an hour late is."""
    partner_sim.fault("pending", match={"shop": shop.partner.slug})
    _subscription, made = bought(shop)
    partner_sim.settle(str(made.pk))
    [told] = [row for row in partner_sim.webhooks() if row["payment_id"] == str(made.pk)]
    content, an_hour = told["content"].encode(), 3600

    def come(signed_at: float, *, read_after: int = 0) -> str:
        header = {"X-Armor-Signature": signature("secret", content, int(signed_at))}
        with in_public():
            client_for(None, **header).post(f"/hooks/{service.pk}/", content, content_type="application/json")
            message = InboundMessage.objects.filter(connection=service).latest("pk")
            came_at = message.received_at - timedelta(seconds=read_after)
            InboundMessage.objects.filter(pk=message.pk).update(received_at=came_at)
            webhooks.process(message.pk)
            message.refresh_from_db()
        return str(message.state)

    assert come(time.time() - an_hour) == "rejected"
    assert come(time.time() - an_hour - 5, read_after=an_hour) == "done"
