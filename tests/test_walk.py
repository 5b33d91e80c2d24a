"""The story of ARMOR in code: a price list becomes a sale, a key, a renewal and a line in finance's report.

Read it top to bottom. Everything is real: schemas, the web that takes the gateway's webhooks, gateway and mail
over sockets.
"""

from datetime import timedelta
from typing import Any

from dateutil.relativedelta import relativedelta

from apps.accounts.models import Customer
from apps.billing.models import InvoiceState, SubscriptionState
from apps.catalog.models import Offer, Tariff
from apps.channels.models import ApiKey, Channel
from apps.connectors.models import Connection, InboundMessage
from apps.core import audit, clock
from apps.core.tenancy import in_partner
from apps.orders.models import Order
from apps.partners.services import create_partner
from apps.providers import keys, services
from apps.providers.models import KeyPool, Provider
from apps.reports import sales
from tests.catalog.conftest import PROVIDERS, read, run
from tests.conftest import eventually
from tests.orders.shop import GOOD, Shop, open_shop
from tests.storefronts.conftest import site
from tests.test_crash_points import hurry_public

__all__ = ["site"]

SCOPES = [
    "offers:read",
    "orders:read",
    "orders:write",
    "subscriptions:read",
    "subscriptions:write",
    "invoices:read",
]


def test_a_subscription_is_sold_delivered_and_renewed(
    operator: Any,
    site: Any,
    yookassa: Any,
    provider_sim: Any,
    mailbox: Any,
    mailbox_process: Any,
    deliver: Any,
    move_clock: Any,
    client_for: Any,
) -> None:
    # Staff import the provider's price list and load the keys that they bought.
    for name in PROVIDERS:
        services.ensure(name)
    imported = run(read("price-list.csv"))
    assert not imported.has_errors()
    tariff = Tariff.objects.get(code="AVIRUS-M")

    # They create the partner: a bank, live at once, here in the sandbox. Its gateway sends webhooks to our web.
    bank = create_partner(slug="walk-bank", name="Банк Прогулка", is_sandbox=True)
    assert client_for(bank).get("/").status_code == 200
    with in_partner(bank):
        shop = open_shop(bank, yookassa, provider_sim, mailbox_process, deliver, move_clock)
        gateway = Connection.objects.get(partner=bank, kind="payment")
        web = site(bank).replace(f"{bank.slug}.", "", 1)
        yookassa.add_shop(bank.slug, "secret", f"{web}/hooks/{gateway.pk}/")
        try:
            the_story(shop, tariff, mailbox, client_for)
        finally:
            yookassa.set_clock(None)


def the_story(shop: Shop, tariff: Tariff, mailbox: Any, client_for: Any) -> None:
    """From the bank's first order to the auditor."""
    pool, _ = KeyPool.objects.get_or_create(
        provider=Provider.objects.get(name="Щит Лабс"), sku="AVIRUS-M", is_test=True
    )
    keys.load(pool=pool, content=f"SHIT-{shop.partner.slug}-0001\nSHIT-{shop.partner.slug}-0002")

    # The partner is offered the tariff, and its bank's system gets a key of its channel.
    Offer.objects.create(partner=shop.partner, tariff=tariff)
    _key, secret = ApiKey.issue(Channel.objects.get(code="api"), SCOPES)
    api = client_for(shop.partner, authorization=f"Bearer {secret}")
    offer = api.get("/api/v1/offers/").json()["results"][0]
    assert (offer["price"], offer["currency"]) == ("149.00", "RUB")

    # Anna buys. She is registered by her purchase, and is sent to the gateway's page.
    order = {
        "offer": offer["id"],
        "customer": {"external_id": "bank-client-1042", "email": f"anna@{shop.partner.slug}.example"},
        "expected_price": offer["price"],
        "return_url": "https://bank.example/thanks/{order}",
    }
    answer = api.post("/api/v1/orders/", order, "application/json", headers={"Idempotency-Key": "anna-1"})
    assert answer.status_code == 201, answer.content.decode()
    placed = answer.json()
    assert placed["state"] == "pending"
    assert Customer.objects.get().external_id == "bank-client-1042"

    # Her bank's system repeats the request: nothing is ordered twice.
    again = api.post("/api/v1/orders/", order, "application/json", headers={"Idempotency-Key": "anna-1"})
    assert (again.status_code, again.json()["id"], Order.objects.count()) == (201, placed["id"], 1)

    # She pays with the test card. The gateway's webhook comes to /hooks/, and has us re-read the payment there.
    shop.gateway.pay(placed["payment"]["confirmation_url"], card=GOOD)
    eventually(lambda: is_told(shop))
    shop.deliver()

    # The key is hers, in the API and in her letter.
    bought = api.get(f"/api/v1/orders/{placed['id']}/").json()
    key = bought["services"][0]["key"]
    assert bought["state"] == "completed"
    assert key.startswith("SHIT-")
    letters = mailbox.messages(to=order["customer"]["email"])
    assert any(key in str(letter) for letter in letters)

    # A month passes: she is told three days before, and her card is charged.
    subscription = api.get(f"/api/v1/subscriptions/{bought['subscription']}/").json()
    started = clock.today()
    shop.until(started + relativedelta(months=1) - timedelta(days=2))
    assert len(mailbox.messages(to=order["customer"]["email"])) == len(letters) + 1
    assert len(shop.charges()) == 1
    shop.until(started + relativedelta(months=1))
    shop.deliver()
    assert [row["amount"] for row in shop.charges()] == ["149.00", "149.00"]
    renewed = api.get(f"/api/v1/subscriptions/{subscription['id']}/").json()
    assert renewed["state"] == SubscriptionState.ACTIVE
    assert renewed["current_period_start"] == subscription["current_period_end"]
    invoices = api.get("/api/v1/invoices/").json()["results"]
    assert [invoice["state"] for invoice in invoices] == [InvoiceState.PAID] * 2

    # Finance sees both, one new and one renewal.
    question = sales.Question(
        since=started, until=clock.today(), by=("tariff",), partner_id=shop.partner.pk, own_sandbox=True
    )
    (line,) = sales.answer(question)
    assert (line.count, str(line.new), str(line.renewal)) == (2, "149.00", "149.00")

    # She cancels: nothing is charged any more.
    cancelled = api.post(f"/api/v1/subscriptions/{subscription['id']}/cancel/", {}, "application/json")
    assert cancelled.status_code == 200, cancelled.content.decode()
    shop.until(started + relativedelta(months=2, days=3))
    assert len(shop.charges()) == 2
    assert api.get(f"/api/v1/subscriptions/{subscription['id']}/").json()["state"] == SubscriptionState.ENDED

    # And the auditor finds that everything holds.
    assert [str(violation) for violation in audit.run([shop.partner.pk])] == []


def is_told(shop: Shop) -> bool:
    """Does what the worker would do with what came in; whether all of it is read."""
    hurry_public()
    states = InboundMessage.objects.filter(connection__partner=shop.partner).values_list("state", flat=True)
    return set(states) == {"done"}
