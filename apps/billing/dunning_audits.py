"""What must hold of debts that are chased, of bills that wait for a person, and of charges by refused methods."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection

from apps.billing.dunning_models import Dunning
from apps.billing.models import InvoicePayment
from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.tenancy import current_partner, current_partner_id
from apps.payments import declines
from apps.payments.models import Payment
from apps.policies.dunning_models import ChargeRules

_STATES = """
SELECT 'Dunning ' || d.id || ' is ' || d.state || ', its invoice ' || i.number || ' is ' || i.state
FROM billing_dunning d JOIN billing_invoice i ON i.id = d.invoice_id
WHERE (d.state = 'running') <> (i.state = 'open') OR d.state = 'recovered' AND i.state NOT IN ('paid', 'refunded')
    OR d.state IN ('lost', 'stopped') AND i.state NOT IN ('void', 'paid', 'refunded')
UNION ALL
SELECT 'Dunning ' || d.id || ' is running, its subscription is ' || s.state
FROM billing_dunning d JOIN billing_subscription s ON s.id = d.subscription_id
WHERE d.state = 'running' AND s.state NOT IN ('past_due', 'suspended')
UNION ALL
SELECT 'Dunning ' || d.id || ' is of another subscription than its invoice'
FROM billing_dunning d JOIN billing_invoice i ON i.id = d.invoice_id
WHERE d.subscription_id IS DISTINCT FROM i.subscription_id OR d.amount <> i.total - i.credit_applied
"""


@audit.rule("billing.dunning-follows-invoice", of=(Dunning,))
def dunning_follows_invoice() -> Iterator[str]:
    """A debt is chased while its invoice is open, for what is owed, and its subscription is in grace or rests."""
    for (text,) in _select(_STATES):
        yield text


_PLANNED = """
SELECT d.id FROM billing_dunning d
WHERE d.state = 'running' AND NOT EXISTS (
    SELECT FROM core_due WHERE partner_id = %(partner)s AND kind = 'billing.dunning'
    AND object_id = d.subscription_id)
AND NOT EXISTS (SELECT FROM billing_invoicepayment p WHERE p.invoice_id = d.invoice_id AND NOT p.failed)
AND NOT EXISTS (SELECT FROM billing_chargerequest r WHERE r.invoice_id = d.invoice_id AND r.state = 'waiting')
"""


@audit.rule("billing.dunning-is-planned", of=(Dunning,))
def dunning_is_planned() -> Iterator[str]:
    """The next step of every debt is planned, or money is under way."""
    for (key,) in _select(_PLANNED, {"partner": current_partner_id()}):
        yield f"Dunning {key} is running, and nothing is planned for it"


_RESULTS = """
SELECT COALESCE(d.id, r.id), d.state, r.state
FROM billing_dunning d
FULL JOIN (SELECT * FROM policies_dunningresult WHERE partner_id = %(partner)s) r ON r.id = d.id
WHERE (d.state, d.first_class, d.amount, d.currency, d.version_id, d.started_date)
    IS DISTINCT FROM (r.state, r.decline_class, r.amount, r.currency, r.version_id, r.started_date)
"""


@audit.rule("billing.dunning-is-reported")
def dunning_is_reported() -> Iterator[str]:
    """What the report over all partners says of a debt is what its partner knows of it."""
    for key, here, there in _select(_RESULTS, {"partner": current_partner_id()}):
        yield f"Dunning {key} is {here}, and the report says {there}"


_POLICY = """
SELECT d.id FROM billing_dunning d LEFT JOIN policies_dunningversion v ON v.id = d.version_id WHERE v.id IS NULL
"""


@audit.rule("billing.dunning-has-policy", of=(Dunning,))
def dunning_has_policy() -> Iterator[str]:
    """Every debt goes by an edition of a policy that is there."""
    for (key,) in _select(_POLICY):
        yield f"Dunning {key} goes by an edition that is not there"


# Charges of the same debt by the same method, each beside the one before it.
_RETRIES = """
SELECT later.id, before.decline_reason, before.connection_id
FROM billing_invoicepayment a
JOIN payments_payment before ON before.id = a.payment_id AND before.state = 'failed' AND NOT before.save_method
JOIN billing_invoicepayment b ON b.invoice_id = a.invoice_id AND b.id <> a.id
JOIN payments_payment later ON later.id = b.payment_id AND later.method_id = before.method_id
    AND NOT later.save_method AND later.created_at > before.created_at AND later.gateway_id <> ''
WHERE before.gateway_id <> ''
"""


@audit.rule("billing.no-forbidden-retry", of=(InvoicePayment,))
def no_forbidden_retry() -> Iterator[str]:
    """After a decline that forbids it, the same debt was not charged again by the same method."""
    rows = _select(_RETRIES)
    connections = Connection.objects.in_bulk({row[2] for row in rows})
    for key, reason, where in rows:
        at = connections.get(where)
        if declines.class_of(reason, at) in declines.rules_of(at).never:
            yield f"Payment {key} charges again what was declined as {reason}"


_PARKED = """
SELECT 'Subscription ' || s.id || ' is parked, and no bill of it waits'
FROM billing_subscription s WHERE s.is_parked AND NOT EXISTS (
    SELECT FROM billing_parkedbill p WHERE p.subscription_id = s.id AND p.state = 'waiting')
UNION ALL
SELECT 'Bill ' || p.id || ' waits, and its subscription is not parked'
FROM billing_parkedbill p JOIN billing_subscription s ON s.id = p.subscription_id
WHERE p.state = 'waiting' AND NOT s.is_parked
UNION ALL
SELECT 'Bill ' || p.id || ' waits, and staff do not know'
FROM billing_parkedbill p WHERE p.state = 'waiting' AND NOT EXISTS (
    SELECT FROM core_workitem w WHERE w.partner_id = %(partner)s AND w.kind = 'billing.ParkedBill'
    AND w.object_id = p.id)
UNION ALL
SELECT 'Invoice ' || i.number || ' was issued while a bill of its subscription waited'
FROM billing_parkedbill p JOIN billing_invoice i ON i.subscription_id = p.subscription_id
WHERE i.purpose = 'renewal' AND i.state <> 'draft' AND i.issued_at > p.parked_at
    AND i.issued_at < COALESCE(p.decided_at, 'infinity')
"""


@audit.rule("billing.parked-is-seen")
def parked_is_seen() -> Iterator[str]:
    """A bill out of bounds parks its subscription, stands in the queue, and nothing is issued until it is decided."""
    for (text,) in _select(_PARKED, {"partner": current_partner_id()}):
        yield text


_NOTICED = """
SELECT p.id, m.state FROM payments_payment p
JOIN billing_invoicepayment l ON l.payment_id = p.id
JOIN billing_invoice i ON i.id = l.invoice_id AND i.purpose = 'renewal'
JOIN LATERAL (SELECT min(period_start) AS day FROM billing_invoiceline WHERE invoice_id = i.id) bill ON true
LEFT JOIN notifications_message m ON m.key = 'renewal_ahead:' || i.subscription_id || ':' || bill.day
WHERE NOT p.save_method AND p.method_id IS NOT NULL AND p.created_at >= %(since)s
    AND (m.id IS NULL OR m.state NOT IN ('sent', 'delivered')
        OR (m.created_at AT TIME ZONE %(zone)s)::date + %(days)s > i.business_date)
"""


@audit.rule("billing.no-notice-no-charge", of=(Payment,))
def no_notice_no_charge() -> Iterator[str]:
    """Where the rules ask for it, nothing was charged in the last day without a notice that was old enough."""
    rules = ChargeRules.of(current_partner().pk)
    if not rules.require_notice:
        return
    values = {
        "since": clock.now() - timedelta(days=1),
        "zone": current_partner().time_zone,
        "days": rules.notice_days,
    }
    for key, state in _select(_NOTICED, values):
        yield f"Payment {key} was made, and its notice is {state or 'not there'}"


def _select(query: str, values: dict[str, Any] | None = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()
