"""The story of ARMOR in code: a price list becomes a sale, a key, a renewal and a line in finance's report.

Read it top to bottom. Everything is real: schemas, webhooks' re-reading, the gateway and the mail over sockets.
"""

from datetime import timedelta
from typing import Any

from dateutil.relativedelta import relativedelta

from apps.accounts.models import Customer
from apps.billing.models import InvoiceState, SubscriptionState
from apps.catalog.models import Offer, Tariff
from apps.channels.models import ApiKey, Channel
from apps.core import audit, clock
from apps.orders.models import Order
from apps.payments import payments
from apps.providers import keys, services
from apps.providers.models import KeyPool, Provider
from apps.reports import sales
from tests.catalog.conftest import PROVIDERS, read, run
from tests.orders.shop import GOOD, Shop

SCOPES = [
    "offers:read",
    "orders:read",
    "orders:write",
    "subscriptions:read",
    "subscriptions:write",
    "invoices:read",
]


def test_a_subscription_is_sold_delivered_and_renewed(shop: Shop, mailbox: Any, client_for: Any) -> None:
    # Staff import the provider's price list and load the keys that they bought.
    for name in PROVIDERS:
        services.ensure(name)
    imported = run(read("price-list.csv"))
    assert not imported.has_errors()
    tariff = Tariff.objects.get(code="AVIRUS-M")
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
    assert placed["state"] == "awaiting_payment"
    assert Customer.objects.get().external_id == "bank-client-1042"

    # Her bank's system repeats the request: nothing is ordered twice.
    again = api.post("/api/v1/orders/", order, "application/json", headers={"Idempotency-Key": "anna-1"})
    assert (again.status_code, again.json()["id"], Order.objects.count()) == (201, placed["id"], 1)

    # She pays with the test card; the webhook has us re-read the payment at the gateway.
    shop.gateway.pay(placed["payment"]["confirmation_url"], card=GOOD)
    payments.settle(placed["payment"]["id"])
    shop.deliver()

    # The key is hers, in the API and in her letter.
    bought = api.get(f"/api/v1/orders/{placed['id']}/").json()
    key = bought["services"][0]["key"]
    assert bought["state"] == "done"
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
