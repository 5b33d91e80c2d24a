"""A partner costs what its schema weighs: so many tables and indexes per app, and each index for a named query."""

from collections import Counter
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import ForeignKey, Model, OneToOneField

# Tables and indexes of each app in a partner's schema. Thousands of partners pay for each of them: whoever needs
# more raises the number here, and says below what an automatic index is for. In all, 99 tables and 274 indexes.
BUDGET = {
    "accounts": (4, 10),
    "billing": (33, 88),
    "callcenters": (4, 9),
    "channels": (3, 6),
    "django_migrations": (1, 1),
    "journal": (3, 6),
    "notifications": (1, 4),
    "orders": (9, 32),
    "payments": (7, 18),
    "storefronts": (2, 3),
}
TABLES, INDEXES = 99, 274

# Foreign keys whose automatic index is wanted, and the query that wants it.
WANTED = {
    "accounts.CustomerSession.customer": "signing in drops the customer's old sessions; erasure drops all",
    "billing.ChargeRequest.invoice": "what was asked of the partner for an invoice",
    "billing.CollectionRow.report": "the rows of a report",
    "billing.Document.customer": "the cabinet's acts and receipts",
    "billing.Document.invoice": "what was acted of an invoice, before more is",
    "billing.OutsidePayment.invoice": "what came for an invoice, before more does",
    "billing.OutsideRefund.outside": "what went back of an outside payment, before more does",
    "billing.BalancePayout.customer": "what was sent back of a customer's balance",
    "billing.BaseRow.batch": "the rows of a batch, when it is moved and when it is undone",
    "billing.BaseRow.customer": "what waits of an erased customer",
    "billing.CreditNote.customer": "a customer's credit notes",
    "billing.CreditNote.invoice": "what was credited of an invoice",
    "billing.CreditNoteLine.credit_note": "the lines of a credit note",
    "billing.CreditNoteLine.invoice_line": "what was credited of a line, before more is",
    "billing.Invoice.customer": "the cabinet's invoices, the console's card of a customer",
    "billing.Invoice.subscription": "open renewals of a subscription, at its cancellation",
    "billing.InvoiceLine.invoice": "the lines of an invoice",
    "billing.InvoicePayment.invoice": "all payments of an invoice, also failed ones",
    "billing.PriceConsent.subscription": "what is planned for a subscription, when its terms move",
    "billing.PromoCode.promotion": "the codes of a promotion, for its file",
    "billing.PromoRedemption.subscription": "what a promo code gave to a subscription, when it begins or ends",
    "billing.Subscription.customer": "the cabinet's subscriptions",
    "billing.Subscription.parent": "the add-ons of a subscription, at each renewal",
    "billing.SubscriptionDiscount.subscription": "the discounts of a subscription, at each renewal",
    "billing.SubscriptionPhase.subscription": "the terms of a subscription, at each renewal",
    "billing.Subscription.method": "what a refused card paid for",
    "callcenters.CallTask.customer": "a customer's calls, at erasure",
    "callcenters.CustomerRequest.customer": "a customer's requests",
    "callcenters.IncomingCall.customer": "a customer's calls",
    "orders.Fulfilment.order": "what is done for an order",
    "orders.Fulfilment.service": "what was done for a service",
    "orders.TaskNote.fulfilment": "what people wrote and filed about a fulfilment",
    "orders.Order.customer": "a customer's orders",
    "orders.Service.customer": "a customer's services",
    "orders.Service.subscription": "the services of a subscription, at each renewal",
    "payments.Dispute.payment": "the disputes of a payment, before any of it is given back",
    "payments.DisputeFile.dispute": "the evidence of a dispute",
    "payments.Payment.customer": "a customer's payments",
    "payments.PaymentMethod.customer": "a customer's cards",
    "payments.Receipt.payment": "the receipts of a payment",
    "payments.Refund.payment": "the refunds of a payment",
}


@pytest.fixture(scope="module")
def indexes() -> list[tuple[str, str]]:
    """Table and name of each index of the template, which every partner's schema equals."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = %s",
            [settings.TEMPLATE_SCHEMA_NAME],
        )
        return cursor.fetchall()


def tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", [settings.TEMPLATE_SCHEMA_NAME]
        )
        return [name for (name,) in cursor.fetchall()]


def app_of(table: str) -> str:
    return table if table in BUDGET else table.split("_", 1)[0]


def test_no_app_is_over_its_budget(indexes: list[tuple[str, str]]) -> None:
    has = Counter(app_of(table) for table in tables())
    indexed = Counter(app_of(table) for table, _name in indexes)
    assert set(has) == set(BUDGET)
    over = {
        app: (has[app], indexed[app])
        for app, (most, more) in BUDGET.items()
        if has[app] > most or indexed[app] > more
    }
    assert over == {}, f"(tables, indexes) over the budget: {over}"
    assert sum(most for most, _more in BUDGET.values()) <= TABLES
    assert sum(more for _most, more in BUDGET.values()) <= INDEXES


def models() -> Iterator[type[Model]]:
    for label in settings.TENANT_APPS:
        found = apps.get_app_config(label.split(".")[-1]).get_models()
        # A proxy has no table of its own.
        yield from (model for model in found if not model._meta.proxy)


def declared(model: type[Model]) -> set[str]:
    """Indexes that a model names itself: each says by its columns and condition what it is for."""
    return {one.name for one in (*model._meta.indexes, *model._meta.constraints)}


def test_every_index_is_wanted(indexes: list[tuple[str, str]]) -> None:
    known = {model._meta.db_table: model for model in models()}
    nameless = []
    for table, name in indexes:
        if table not in known or name.endswith("_pkey") or name in declared(known[table]):
            continue
        model = known[table]
        automatic = [
            f"{model._meta.label}.{field.name}"
            for field in model._meta.concrete_fields
            if isinstance(field, ForeignKey) and name.startswith(f"{table}_{field.column}_")
        ]
        one_to_one = any(
            isinstance(field, OneToOneField) or field.unique
            for field in model._meta.concrete_fields
            if name == f"{table}_{field.column}_key"
        )
        if not one_to_one and not (automatic and automatic[0] in WANTED):
            nameless.append(name)
    assert nameless == [], "indexes for no named query"


def test_no_foreign_key_is_indexed_twice(indexes: list[tuple[str, str]]) -> None:
    """What is listed as wanted is there, and is not a copy of an index that begins with the same column."""
    names = [name for _table, name in indexes]
    for label in WANTED:
        model = apps.get_model(label.rsplit(".", 1)[0])
        field = model._meta.get_field(label.rsplit(".", 1)[1])
        found = [name for name in names if name.startswith(f"{model._meta.db_table}_{field.column}_")]
        assert len(found) == 1, label
