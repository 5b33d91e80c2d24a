"""The bench of fulfilment: from the moment a customer has paid to the key in their cabinet.

Twenty customers a second come back from the gateway, for a minute. The intake takes the gateway's message, the
general workers, two as by default, read it and deliver what follows, the lanes' process asks the gateway and then the
provider, who both are simulators in processes of their own. ORDERS says how many.
"""

import json
import multiprocessing
import os
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from django.db import connection

from apps.accounts import customers
from apps.catalog.models import Category, Offer, Product, Tariff
from apps.connectors.models import Connection
from apps.core import audit, clock, models
from apps.core.tenancy import in_partner
from apps.orders.models import Service
from apps.orders.placing import open_payment_page, place_order
from apps.partners.models import Partner
from apps.payments.models import Payment
from apps.providers.models import Provider
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from bench import programs, spent, worker
from bench.cases import new_partner

PER_SECOND = 20


def order_to_key() -> dict[str, float]:
    """`seconds` is the 95th percentile from paid to key; `ratio` to the aim of one second."""
    count = int(os.environ.get("ORDERS", str(PER_SECOND * 60)))
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="armor-bench-"))
        simulators = [stack.enter_context(Simulator(name, state=folder)) for name in ("yookassa", "provider")]
        gateway, supplier = (Control(one.url) for one in simulators)
        partner = new_partner()
        with in_partner(partner):
            line, offer = _shop(partner, gateway, supplier)
            paid = _paid(partner, gateway, offer, count)
        port, intake = programs.intake(stack)
        general, another, lanes = programs.workers(stack, worker.work_off, worker.work_off, worker.keep_lanes)
        context = multiprocessing.get_context("spawn")
        answered = context.Queue()
        url = f"http://localhost:{port}/hooks/{line.pk}/"
        poster = context.Process(target=worker.tell, args=(url, list(paid), PER_SECOND, answered))
        with spent.told(count, intake=intake, worker=general, another=another, lanes=lanes):
            poster.start()
            began, _ended, accepted, _wait = answered.get(timeout=programs.PATIENCE)
            with in_partner(partner):
                _until_delivered(count)
        poster.join(20)
        if accepted != count:
            raise RuntimeError(f"{accepted} of {count} were accepted")
        with in_partner(partner):
            given = dict(Service.objects.values_list("subscription_id", "activated_at"))
            if "CPU" in os.environ:
                _tell_steps({key: began + place / PER_SECOND for place, key in enumerate(paid.values())})
        waits = sorted(
            given[subscription].timestamp() - (began + place / PER_SECOND)  # type: ignore[union-attr]
            for place, subscription in enumerate(paid.values())
        )
        found = [str(one) for one in audit.run([partner.pk]) if one.partner == partner.slug]
        if found:
            raise RuntimeError(f"The auditor finds {len(found)}: {found[:3]}")
    late = waits[int(len(waits) * 0.95)]
    return {
        "seconds": late,
        "per_second": PER_SECOND,
        "floor_seconds": 1.0,
        "ratio": late,
        "peak_mib": 0.0,
        "median_seconds": waits[len(waits) // 2],
    }


def _shop(partner: Partner, gateway: Control, supplier: Control) -> tuple[Connection, Offer]:
    gateway.add_shop(partner.slug, "secret")
    gateway.fault("no_webhook", times=10**9, match={"shop": partner.slug})
    line = Connection.objects.create(
        kind="payment",
        connector="apps.payments.yookassa.YooKassa",
        name=partner.slug,
        config={"shop_id": partner.slug, "secret_key": "secret", "base_url": f"{gateway.base_url}/v3"},
        partner=partner,
        legal_entity=partner.legal_entity,
    )
    supplies = Connection.objects.create(
        kind="provider",
        connector="apps.providers.http_provider.HttpProvider",
        name=f"supplier of {partner.slug}",
        config={"base_url": supplier.base_url, "token": "test"},
        legal_entity=partner.legal_entity,
    )
    code = f"KEYS-{partner.slug}".upper()
    category, _is_new = Category.objects.get_or_create(code="bench", defaults={"name": {"ru": "Замер"}})
    product = Product.objects.create(
        code=code,
        name={"ru": "Облако"},
        category=category,
        provider=Provider.objects.create(code=code.lower(), name=f"Поставщик {code}", connection=supplies),
        delivery="account",
        vat_code="standard",
    )
    tariff = Tariff.objects.create(product=product, code=code, name={"ru": "Базовый"})
    tariff.publish(price=Decimal("149.00"), trial_days=0, period_count=1, period_unit="month")
    return line, Offer.objects.create(partner=partner, tariff=tariff)


def _paid(partner: Partner, gateway: Control, offer: Offer, count: int) -> dict[bytes, object]:
    """Messages about so many orders that are paid at the gateway, and that nobody has told us of; each with its
    subscription."""
    paid: dict[bytes, object] = {}
    for number in range(count):
        customer = customers.register(external_id=f"paid-{number}", email=f"paid-{number}@example.ru")
        order = place_order(offer=offer, customer=customer, return_url="https://shop.example/thanks/{order}")
        open_payment_page(order)
        payment = Payment.objects.get(pk=order.payment().pk)  # type: ignore[union-attr]
        gateway.pay(payment.confirmation_url)
        thing = {"id": payment.gateway_id, "metadata": {"payment": str(payment.pk)}}
        message = json.dumps({"event": "payment.succeeded", "object": thing}).encode()
        paid[message] = order.item.subscription_id
    # Nobody is to find out by looking; what placing has led to is other benches' business.
    models.Due.objects.filter(kind="payments.sweep").update(due_at=clock.wall() + timedelta(days=1))
    models.Delivery.objects.filter(partner_id=partner.pk).delete()
    models.Due.objects.filter(kind="notifications.send").delete()
    return paid


def _tell_steps(paid_at: dict[object, float]) -> None:
    """Prints how long each step of the way takes, half of them and 95 of a hundred, in milliseconds since the last."""
    with connection.cursor() as cursor:
        cursor.execute(_STEPS)
        names = [one.name for one in cursor.description][1:]
        rows = [(paid_at[key], *(at.timestamp() for at in row)) for key, *row in cursor.fetchall()]
    for place, name in enumerate(names):
        took = sorted(1000 * (row[place + 1] - row[place]) for row in rows)
        half, late = took[len(took) // 2], took[int(len(took) * 0.95)]
        print(f"  {name:24}{half:>8.0f}{late:>8.0f}", flush=True)


_STEPS = """
SELECT service.subscription_id,
    (SELECT max(received_at) FROM public.connectors_inboundmessage message
        JOIN public.connectors_gatewayreference gateway ON gateway.id = message.reference
        WHERE gateway.object_id = payment.id) AS told,
    (SELECT max(at) FROM journal_exchange WHERE about = payment.id) AS gateway_asked,
    (SELECT max(occurred_at) FROM public.core_event
        WHERE object_id = payment.id AND type = 'payments.PaymentSucceeded') AS payment_recorded,
    (SELECT max(occurred_at) FROM public.core_event
        WHERE object_id = invoice.id AND type = 'billing.InvoicePaid') AS invoice_paid,
    fulfilment.created_at AS fulfilment_written,
    (SELECT max(at) FROM orders_history WHERE object_id = fulfilment.id AND became = 'in_progress') AS claimed,
    (SELECT max(at) FROM journal_exchange WHERE about = fulfilment.id) AS provider_asked,
    service.activated_at AS key_recorded
FROM orders_service service
JOIN orders_fulfilment fulfilment ON fulfilment.service_id = service.id AND fulfilment.action = 'provision'
JOIN billing_invoice invoice ON invoice.id = fulfilment.invoice_id
JOIN billing_invoicepayment paying ON paying.invoice_id = invoice.id
JOIN payments_payment payment ON payment.id = paying.payment_id
"""


def _until_delivered(count: int) -> None:
    until = time.monotonic() + programs.PATIENCE
    while (given := Service.objects.filter(state="active").count()) < count:
        if time.monotonic() > until:
            raise RuntimeError(f"{count - given} are not delivered")
        time.sleep(0.1)
