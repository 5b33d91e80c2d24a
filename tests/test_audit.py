"""The auditor finds every corruption of a shop's books that is planted past code and triggers; a rule has one each."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from apps.billing import changes, credits, invoices, pauses, promos
from apps.billing.models import CreditReason, Subscription
from apps.billing.promotion_models import Promotion
from apps.catalog import plans
from apps.catalog.models import Product, ProviderTerms, Trade
from apps.catalog.plans import Step
from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.fields import Translated
from apps.core.ids import floor, uuid7
from apps.core.models import Delivery, Due, Event, SearchKey, WorkItem
from apps.core.money import Money
from apps.orders import fulfilment
from apps.orders.models import Fulfilment
from apps.partners.models import ContractTerms
from apps.payments import payments
from apps.payments.models import Payment
from apps.providers.models import Provider
from apps.sandbox.control import Control
from tests.orders.shop import Shop
from tests.planted import corrupted_rules, execute, found

ONE = "(SELECT min(id::text)::uuid FROM billing_subscription WHERE state = 'active')"
"""The shop's first subscription: its first month is over and earned, of its second a part went back."""
ORDERED = f"(SELECT order_id FROM orders_orderitem WHERE subscription_id = {ONE})"
FIRST = f"(SELECT id FROM billing_invoice WHERE purpose = 'new' AND subscription_id = {ONE})"
SECOND = f"(SELECT id FROM billing_invoice WHERE purpose = 'renewal' AND subscription_id = {ONE})"


PARTNER = "(SELECT id FROM partners_partner WHERE schema_name = current_schema())"


def ledger(change: str, which: str) -> str:
    return f"UPDATE ledger_transfer SET {change} WHERE partner_id = {PARTNER} AND {which}"


def unplanned(kind: str) -> str:
    return f"DELETE FROM core_due WHERE kind = '{kind}' AND partner_id = {PARTNER}"


def posted(which: str) -> str:
    return f"document_id = {FIRST} AND posting = '{which}'"


def sequence(change: str, kind: str) -> str:
    return f"UPDATE policies_numbersequence SET {change} WHERE partner_id = {PARTNER} AND kind = '{kind}'"


def mine() -> int:
    return int(connection.tenant.pk)


def late_news() -> None:
    event = Event.objects.create(
        pk=floor(clock.wall() - timedelta(days=2)),
        partner_id=mine(),
        type="tests.Happened",
        object_id=uuid7(),
        occurred_at=clock.wall(),
    )
    Delivery.objects.create(event=event, partner_id=mine(), handler="tests", next_at=clock.wall())


def unknown_work() -> None:
    Due.objects.create(partner_id=mine(), kind="tests.gone", object_id=uuid7(), due_at=clock.wall())


def work_of(kind: str) -> Callable[[], Any]:
    return lambda: WorkItem.objects.create(
        partner_id=mine(), kind=kind, object_id=uuid7(), reason="-", opened_at=clock.wall()
    )


def key_of(kind: str) -> Callable[[], Any]:
    return lambda: SearchKey.objects.create(partner_id=mine(), kind=kind, object_id=uuid7(), digest=b"-")


def unfindable(kind: str) -> Callable[[], Any]:
    return lambda: SearchKey.objects.filter(partner_id=mine(), kind=kind).delete()


def back_unknown() -> None:
    """Given back, and the invoice knows nothing of it."""
    payment = Payment.objects.filter(purpose="new", state="succeeded").first()
    assert payment is not None
    payment.refunds.create(amount=1, reason="-", state="succeeded", created_at=clock.now())


def forgotten_stop() -> None:
    """A provider is down for an hour, and no stop says so."""
    long_ago = clock.wall() - timedelta(hours=1)
    product = Product.objects.exclude(provider=None)[0]
    line = Connection.objects.filter(kind="provider")[0]
    Connection.objects.filter(pk=line.pk).update(opened_at=long_ago, next_try_at=long_ago)
    Provider.objects.filter(pk=product.provider_id).update(connection=line)


CORRUPTIONS: list[tuple[str, str | Callable[[], Any]]] = [
    ("core.due-known", unknown_work),
    ("core.delivered-in-a-day", late_news),
    ("core.work-item-of-something", work_of("orders.Fulfilment")),
    ("core.work-item-of-something", work_of("core.due")),
    ("core.work-item-of-something", work_of("core.delivery")),
    ("core.work-item-of-something", work_of("tests.gone")),
    ("core.search-key-of-something", key_of("billing.Invoice")),
    ("core.search-key-of-something", key_of("accounts.Customer")),
    *(
        ("core.reference-exists", f"UPDATE {table} SET {column}_id = 987654321")
        for table, columns in (
            ("orders_order", ("legal_entity",)),
            ("orders_orderitem", ("offer", "product", "tariff_version")),
            ("orders_service", ("product", "tariff_version")),
            ("billing_subscription", ("offer", "product", "tariff_version", "legal_entity")),
            ("billing_invoice", ("legal_entity",)),
            ("billing_invoiceline", ("product", "tariff_version")),
            ("payments_payment", ("connection", "reference")),
            ("payments_paymentmethod", ("connection",)),
            ("notifications_message", ("connection",)),
        )
        for column in columns
    ),
    ("core.triggers-stand", "ALTER TABLE billing_invoice DISABLE TRIGGER billing_invoice_issued"),
    ("core.triggers-stand", "ALTER TABLE billing_invoiceline DISABLE TRIGGER ALL"),
    ("core.triggers-stand", "DROP TRIGGER billing_invoice_kept ON billing_invoice"),
    (
        "core.triggers-stand",
        "CREATE OR REPLACE FUNCTION billing_keep_line() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'",
    ),
    ("core.triggers-stand", "DROP TRIGGER catalog_version_frozen ON catalog_tariffversion"),
    (
        "core.triggers-stand",
        "ALTER TABLE partners_contractterms DISABLE TRIGGER partners_terms_in_force",
    ),
    ("policies.numbers-without-gap", sequence("last = last + 1", "invoice")),
    ("policies.numbers-without-gap", sequence("last = last - 1", "order")),
    ("policies.numbers-without-gap", sequence("kind = 'settlement'", "order")),
    ("policies.numbers-without-gap", f"UPDATE orders_order SET number = '' WHERE id = {ORDERED}"),
    (
        "policies.numbers-without-gap",
        f"UPDATE billing_invoice SET number = replace(number, '0001', '0099') WHERE id = {FIRST}",
    ),
    (
        "billing.period-billed-once",
        f"UPDATE billing_invoiceline SET period_start = period_start - 3 WHERE invoice_id = {SECOND}",
    ),
    ("billing.invoice-adds-up", f"UPDATE billing_invoice SET total = total + 1 WHERE id = {FIRST}"),
    ("billing.paid-means-paid", f"DELETE FROM billing_invoicepayment WHERE invoice_id = {FIRST}"),
    ("billing.posted", "UPDATE billing_invoice SET state = 'void' WHERE state = 'open'"),
    ("billing.refund-credited", back_unknown),
    (
        "billing.binding-given-back",
        "DELETE FROM payments_refund r USING payments_payment p WHERE p.id = r.payment_id AND p.purpose = 'binding'",
    ),
    ("billing.trial-had-once", "DELETE FROM billing_trialuse"),
    ("billing.promo-within-limits", "UPDATE billing_promotion SET used = used + 1"),
    ("billing.promo-within-limits", "UPDATE billing_subscriptiondiscount SET source_id = NULL"),
    ("billing.live-is-planned", unplanned("billing.renew")),
    (
        "billing.nothing-after-cancellation",
        f"UPDATE billing_subscription SET cancelled_at = created_at WHERE id = {ONE};"
        " DELETE FROM payments_refund",
    ),
    *(
        ("billing.keeps-what-was-sold", f"UPDATE billing_subscription SET {change} WHERE id = {ONE}")
        for change in (
            "price = price + 1",
            "quantity = 2",
            "tariff_version_id = tariff_version_id + 1",
            "anchor_date = anchor_date + 1",
            "cycle_day = cycle_day % 28 + 1",
            "period_unit = 'year'",
            "vat_code = 'none'",
            "legal_entity_id = legal_entity_id + 1",
        )
    ),
    *(
        ("billing.work-is-planned", unplanned(f"billing.{kind}"))
        for kind in ("notice", "recognise", "expire", "trial_end", "begin", "resume")
    ),
    *(
        ("billing.ledger-of-lines", ledger(change, posted(which)))
        for change, which in (
            ("amount = amount + 1", "net-1"),
            ("amount = amount - 1", "vat-1"),
            ("vat_rate = 10", "vat-1"),
            ("product_id = product_id + 1", "net-1"),
            ("customer_id = gen_random_uuid()", "net-1"),
            ("subscription_id = NULL", "net-1"),
            ("kind = 'renewal'", "net-1"),
            ("owner = 'partner', currency = 'USD'", "net-1"),
            ("amount = amount + 1", "recognised-1"),
            ("credit = 'vat'", "net-1"),
            ("posting = 'other-1'", "net-1"),
        )
    ),
    ("billing.ledger-of-lines", ledger("posting = 'gone-1'", posted("share-1"))),
    (
        "billing.earned-by-day",
        ledger("posting = 'month-202601-1', credit = 'vat'", posted("recognised-1")),
    ),
    ("billing.ledger-of-lines", ledger("document_id = gen_random_uuid()", posted("recognised-1"))),
    *(
        (
            "billing.ledger-of-lines",
            ledger(change, f"document_kind = 'credit' AND posting = 'credit-{part}-1'"),
        )
        for part, change in (
            ("vat", "amount = amount + 1"),
            ("net", "product_id = product_id + 1"),
            ("net", "debit = 'bank'"),
        )
    ),
    ("billing.ledger-of-lines", ledger("amount = amount + 1", "posting = 'void-net-1'")),
    *(
        (
            "billing.ledger-of-lines",
            ledger(change, "document_kind = 'invoice' AND posting = 'balance'"),
        )
        for change in ("amount = amount + 1", "debit = 'bank'", "posting = 'balances'")
    ),
    *(
        (
            "billing.ledger-of-credit-notes",
            ledger(change, f"document_kind = 'credit_note' AND posting = '{posting}'"),
        )
        for posting, change in (
            ("net-1", "amount = amount + 1"),
            ("net-1", "debit = 'bank'"),
            ("vat-1", "amount = amount + 1"),
            ("vat-1", "vat_rate = 10"),
            ("vat-1", "document_id = gen_random_uuid()"),
            ("balance", "amount = amount - 1"),
            ("balance", "posting = 'net-2'"),
        )
    ),
    *(
        ("billing.economics", ledger(change, posted(which)))
        for which in ("share-1", "cost-1")
        for change in ("amount = amount + 1", "credit = 'bank'", "provider_id = 0", "kind = 'refund'")
    ),
    *(
        ("billing.economics", ledger(change, f"document_kind = '{document}' AND posting = '{posting}'"))
        for document, posting in (
            ("credit", "credit-share-1"),
            ("credit", "credit-cost-1"),
            ("credit_note", "share-1"),
            ("credit_note", "cost-1"),
        )
        for change in ("amount = amount + 1", "debit = 'bank'", "document_id = gen_random_uuid()")
    ),
    *(
        ("billing.economics", ledger(change, f"document_kind = 'invoice' AND posting = '{posting}'"))
        for posting in ("principal-1", "commission-1", "commission_vat-1")
        for change in ("amount = amount + 1", "posting = 'gone-1'", "debit = 'bank'")
    ),
    (
        "billing.credit-note-adds-up",
        "UPDATE billing_creditnote SET total = total + 1, to_balance = to_balance + 1",
    ),
    ("billing.balance-in-ledger", "UPDATE billing_customerbalance SET amount = amount + 1"),
    ("billing.balance-in-ledger", ledger("amount = amount + 1", "credit = 'advances'")),
    ("billing.customer-statement", ledger("customer_id = gen_random_uuid()", "posting = 'paid'")),
    ("billing.customer-statement", ledger("document_id = gen_random_uuid()", "posting = 'refunded'")),
    ("reports.partner-statement", ledger("debit = 'write_off'", "credit = 'partner_payable'")),
    ("billing.credit-note-adds-up", "UPDATE billing_creditnoteline SET amount = amount + 1"),
    (
        "billing.credit-note-adds-up",
        f"UPDATE billing_invoiceline SET credited = 1 WHERE invoice_id = {FIRST}",
    ),
    ("billing.owner-was-paid", ledger("owner = 'operator'", "posting = 'paid'")),
    ("billing.findable", unfindable("billing.Invoice")),
    ("orders.paid-is-fulfilled", "DELETE FROM orders_fulfilment WHERE action = 'provision'"),
    ("orders.open-is-planned", unplanned("orders.fulfil")),
    (
        "orders.scheduled-is-planned",
        "UPDATE orders_order SET scheduled_at = now(), invoice_id = NULL WHERE state = 'pending'",
    ),
    ("orders.paid-item-settled", "UPDATE orders_orderitem SET state = 'in_progress' WHERE state = 'failed'"),
    (
        "orders.paid-item-settled",
        "UPDATE billing_invoiceline SET amount = amount + 1 WHERE subscription_id IN (SELECT subscription_id"
        " FROM orders_orderitem WHERE state = 'failed');"
        " UPDATE billing_invoice SET state = 'paid' WHERE state = 'refunded'",
    ),
    (
        "orders.paid-item-settled",
        "UPDATE billing_subscription SET state = 'active' WHERE id IN"
        " (SELECT subscription_id FROM orders_orderitem WHERE state = 'failed')",
    ),
    (
        "orders.paid-item-settled",
        "UPDATE orders_fulfilment SET state = 'failed' WHERE action = 'provision' AND state = 'done'",
    ),
    ("orders.paid-item-settled", "UPDATE orders_service SET activated_at = NULL"),
    ("orders.tasks-follow-their-fulfilment", "UPDATE orders_task SET state = 'pending'"),
    (
        "orders.tasks-follow-their-fulfilment",
        "UPDATE orders_fulfilment SET state = 'done' WHERE state = 'failed'",
    ),
    ("orders.open-is-on-the-board", f"DELETE FROM providers_openrequest WHERE partner_id = {PARTNER}"),
    (
        "orders.open-is-on-the-board",
        f"UPDATE providers_openrequest SET state = 'nowhere' WHERE partner_id = {PARTNER}",
    ),
    ("orders.open-is-on-the-board", "UPDATE orders_fulfilment SET state = 'done', next_at = NULL"),
    *(
        ("orders.entitlement-agrees", f"{change} WHERE partner_id = {PARTNER}")
        for change in (
            "DELETE FROM providers_entitlement",
            "UPDATE providers_entitlement SET state = 'suspended'",
            "UPDATE providers_entitlement SET provider_id = 0",
            "UPDATE providers_entitlement SET request_id = gen_random_uuid()",
            "UPDATE providers_entitlement SET service_id = gen_random_uuid()",
            "UPDATE providers_entitlement SET key_digest = NULL",
            "UPDATE providers_entitlement SET active_until = active_until + 1",
        )
    ),
    ("orders.service-states", "UPDATE orders_service SET state = 'suspended' WHERE state = 'active'"),
    ("orders.service-states", "UPDATE orders_service SET state = 'suspended' WHERE state = 'active'"),
    ("orders.service-states", "UPDATE orders_service SET off_at = now() WHERE state = 'active'"),
    ("orders.service-states", "DELETE FROM orders_history WHERE became = 'active'"),
    ("orders.service-follows-money", "UPDATE orders_service SET state = 'terminated' WHERE state = 'active'"),
    ("orders.awaiting-has-invoice", "UPDATE orders_order SET total = 1 WHERE state = 'pending'"),
    ("orders.erased-keep-no-key", "UPDATE accounts_customer SET erased_at = now()"),
    *(
        ("orders.sold-as-ordered", f"UPDATE orders_orderitem SET {change} WHERE subscription_id = {ONE}")
        for change in (
            "price = price + 1",
            "price = price + 1, total = total + 1",
            "total = total + 1",
            "tariff_version_id = tariff_version_id + 1",
            "offer_id = offer_id + 1",
            "product_id = product_id + 1",
        )
    ),
    (
        "orders.sold-as-ordered",
        f"UPDATE orders_order SET customer_id = gen_random_uuid() WHERE id = {ORDERED}",
    ),
    ("orders.items-add-up", f"UPDATE orders_order SET total = total + 1 WHERE id = {ORDERED}"),
    ("orders.items-add-up", f"UPDATE orders_orderitem SET total = total - 1 WHERE order_id = {ORDERED}"),
    ("orders.items-add-up", f"DELETE FROM orders_orderitem WHERE order_id = {ORDERED}"),
    ("orders.items-agree", f"UPDATE orders_orderitem SET state = 'cancelled' WHERE order_id = {ORDERED}"),
    ("orders.items-agree", f"UPDATE orders_order SET state = 'partial' WHERE id = {ORDERED}"),
    (
        "orders.items-agree",
        "UPDATE orders_fulfilment SET state = 'queued' WHERE state = 'done' AND item_id IS NOT NULL",
    ),
    (
        "orders.service-within-paid",
        "UPDATE orders_service SET active_until = active_until + 1 WHERE state = 'active'",
    ),
    ("orders.findable", unfindable("orders.Order")),
    ("catalog.stops-remembered", forgotten_stop),
    (
        "catalog.stops-remembered",
        "INSERT INTO catalog_salesstop (cause, provider_id, starts_at, message, note, made_by)"
        " SELECT 'circuit', min(id), now() - interval '1 hour', '{}', '', '' FROM providers_provider",
    ),
]


def lived_in(shop: Shop, provider: Control) -> None:
    """Two months with a part given back, a credit note and a change; a trial, orders that wait, or came to nothing."""
    ContractTerms.objects.create(
        partner=shop.partner, number="Д-1", valid_from=date(2020, 1, 1), share_percent=Decimal(20)
    )
    offer, agents = shop.offer(price="122.00"), shop.offer(price="61.00")
    cost = {"provider": shop.provider, "number": "П-1", "valid_from": date(2020, 1, 1)}
    ProviderTerms.objects.create(**cost, percent=Decimal(40))
    ProviderTerms.objects.create(
        **cost, product=agents.tariff.product, trade=Trade.AGENCY, percent=Decimal(10)
    )
    one, other = shop.buy(offer), shop.buy(offer)
    assert one.current_period_end is not None
    _credited_and_changed(other)
    # Its days are over, and nobody has said how it is to be paid.
    shop.order(shop.offer(trial_days=7, trial_needs_method=False))
    shop.until(one.current_period_end)
    renewal = Payment.objects.get(purpose="renewal", subscription_id=one.pk)
    payments.refund(payment=renewal, amount=Money(Decimal("33.33")), reason="-", actor="")
    shop.hurry()
    promotion = Promotion.objects.create(name="Скидка", percent=Decimal(10), created_at=clock.now())
    promos.make(promotion=promotion, text="AUDIT")
    shop.buy(shop.offer(trial_days=7), promo_code="AUDIT")
    changes.change(subscription=shop.buy(agents), quantity=2, when=changes.PERIOD_END)
    pauses.pause(subscription=shop.buy(agents))
    called_off = shop.order(offer)
    with transaction.atomic():
        invoices.void(invoices.locked(called_off.invoice_id))
    shop.order(offer)
    _given_up(shop)
    provider.switch(on=False)
    shop.buy(offer)
    assert Subscription.objects.filter(state="active").count() == 4


def _given_up(shop: Shop) -> None:
    """What could not be done by hand was undone, and paid back."""
    offer = shop.offer()
    steps = [
        Step("manual", Translated(ru="Проверить документы"), minutes=60),
        Step("provision", Translated(ru="Выдать")),
    ]
    plans.save(offer.tariff.product, steps)
    bought = shop.buy(offer)
    fulfilment.fail(Fulfilment.objects.get(service__subscription=bought), "Документы не те", actor="olga")
    shop.deliver()


def _credited_and_changed(subscription: Subscription) -> None:
    """Something of what was paid is on the balance, for the next invoice, which is of twice as many."""
    line = subscription.lines.get()
    with transaction.atomic():
        credits.issue(
            invoice=line.invoice,
            parts=[credits.Part(line.pk, Decimal("20.01"))],
            reason=CreditReason.CORRECTION,
            key="lived-in",
        )
    changes.change(subscription=subscription, quantity=2, when=changes.PERIOD_END)


def test_each_rule_finds_its_corruption(shop: Shop, provider_sim: Control) -> None:
    lived_in(shop, provider_sim)
    assert [str(violation) for violation in audit.run([shop.partner.pk])] == []
    missed = [
        f"{rule}: {corrupt}"
        for rule, corrupt in CORRUPTIONS
        if not found(rule, corrupt if callable(corrupt) else lambda sql=corrupt: execute(sql))
    ]
    assert missed == []
    assert [str(violation) for violation in audit.run([shop.partner.pk])] == []


def test_each_rule_has_a_corruption() -> None:
    assert set(audit.RULES) == corrupted_rules()


@pytest.mark.usefixtures("partner")
def test_each_trigger_of_the_public_schema_is_looked_for() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname || '.' || tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid"
            " WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace"
        )
        standing = {name for (name,) in cursor.fetchall()}
    assert standing == audit.GUARDS
