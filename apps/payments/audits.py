"""What must hold of payments, saved methods and refunds of a partner."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum

from apps.connectors.models import Connection, GatewayReference
from apps.core import audit, clock, ids, search
from apps.core.models import Delivery, Due, WorkItem
from apps.core.tenancy import current_partner
from apps.journal.models import Entry
from apps.ledger.ledger import Account
from apps.ledger.models import Transfer
from apps.payments import unbinding
from apps.payments.methods import HIDDEN
from apps.payments.models import (
    CONSENT_REVOKED,
    OPEN,
    Payment,
    PaymentMethod,
    PaymentState,
    Refund,
    RefundRoute,
    RefundState,
)

CAPTURED = [PaymentState.SUCCEEDED, PaymentState.REFUNDED]


def _transfers(kind: str, posting: str | None = None) -> Exists:
    """Those of a payment or refund; of one posting, of its sum."""
    found = Transfer.objects.filter(partner_id=audit.PARTNER, document_kind=kind, document_id=OuterRef("pk"))
    if posting:
        found = found.filter(posting=posting, amount=OuterRef("amount"), currency=OuterRef("currency"))
    return Exists(found)


_UNPOSTED = audit.Query(
    lambda: Payment.objects.filter(~_transfers("payment", "paid"), state__in=CAPTURED, amount__gt=0)
)
_POSTED_IN_VAIN = audit.Query(
    lambda: Payment.objects.filter(_transfers("payment")).exclude(state__in=CAPTURED)
)
_REFUNDS_UNPOSTED = audit.Query(
    lambda: Refund.objects.filter(~_transfers("refund", "refunded"), state=RefundState.SUCCEEDED)
)
_REFUNDS_POSTED_IN_VAIN = audit.Query(
    lambda: Refund.objects.filter(_transfers("refund")).exclude(state=RefundState.SUCCEEDED)
)
_THROUGH_CLEARING = audit.Query(
    lambda: Transfer.objects.filter(
        Exists(Connection.objects.filter(pk=OuterRef("connection_id"), partner__isnull=False)),
        Q(debit=Account.CLEARING) | Q(credit=Account.CLEARING),
        partner_id=audit.PARTNER,
        document_kind__in=["payment", "refund"],
    )
)
_LED_ASTRAY = audit.Query(
    lambda: Payment.objects.filter(
        ~Exists(
            GatewayReference.objects.filter(
                pk=OuterRef("reference_id"),
                partner_id=audit.PARTNER,
                object_id=OuterRef("pk"),
                connection_id=OuterRef("connection_id"),
                connection__is_test=audit.given("is_sandbox"),
            )
        )
    )
)
_CONNECTED_TO_NOTHING = audit.Query(
    lambda: PaymentMethod.objects.filter(~Exists(Connection.objects.filter(pk=OuterRef("connection_id"))))
)
_TWINS = audit.Query(
    lambda: Payment.objects.exclude(gateway_id="").filter(
        Exists(
            Payment.objects.filter(
                connection_id=OuterRef("connection_id"),
                gateway_id=OuterRef("gateway_id"),
                pk__lt=OuterRef("pk"),
            )
        )
    )
)
_PAYMENTS_UNFOUND = audit.Query(
    lambda: search.unfindable("payments.payment", Payment.objects.exclude(gateway_id=""), audit.PARTNER)
)
_REFUNDS_UNFOUND = audit.Query(
    lambda: search.unfindable(
        "payments.refund",
        Refund.objects.filter(state=RefundState.SUCCEEDED).exclude(gateway_id=""),
        audit.PARTNER,
    )
)
_REFUSED = audit.some(PaymentMethod, Q(refused_at__isnull=False) | Q(refusal_recorded_at__isnull=False))


@audit.rule("payments.refunds-within-payment", of=(Refund,))
def refunds_within_payment() -> Iterator[str]:
    """Refunds that are made or may yet be never exceed the payment, and are of a payment that came."""
    for payment in (
        Payment.objects.exclude(refunds=None)
        .annotate(back=Sum("refunds__amount", filter=~Q(refunds__state=RefundState.FAILED)))
        .filter(Q(back__gt=F("amount")) | Q(back__gt=0) & ~Q(state__in=CAPTURED))
    ):
        yield f"Payment {payment.pk} ({payment.state}) of {payment.amount}: {payment.given_back()} given back"


@audit.rule("payments.payment-posted", of=(Payment,))
def payment_posted() -> Iterator[str]:
    """A payment that came stands in the ledger with its sum, and no other does."""
    for payment in _UNPOSTED.rows():
        yield f"Payment {payment.pk} came and is not posted"
    for payment in _POSTED_IN_VAIN.rows():
        yield f"Payment {payment.pk} is posted and is {payment.state}"


@audit.rule("payments.refund-posted", of=(Refund,))
def refund_posted() -> Iterator[str]:
    """A refund that was made stands in the ledger with its sum, and no other does."""
    for refund in _REFUNDS_UNPOSTED.rows():
        yield f"Refund {refund.pk} was made and is not posted"
    for refund in _REFUNDS_POSTED_IN_VAIN.rows():
        yield f"Refund {refund.pk} is posted and is {refund.state}"


@audit.rule("payments.partner-money-apart")
def partner_money_apart() -> Iterator[str]:
    """What came through a partner's own connection never is in the operator's clearing account."""
    for transfer in _THROUGH_CLEARING.rows():
        yield f"Transfer {transfer.pk} of a partner's connection touches the operator's clearing"


@audit.rule("payments.refused-method-rests", of=(audit.some(PaymentMethod, refused_at__isnull=False),))
def refused_method_rests() -> Iterator[str]:
    """No charge by a method was written or kept after the customer had refused the method."""
    charges = Payment.objects.filter(method__refused_at__isnull=False, save_method=False).select_related(
        "method"
    )
    for payment in charges.filter(settled_at__gt=F("method__refused_at"), state=PaymentState.SUCCEEDED):
        yield f"Payment {payment.pk} came after method {payment.method_id} was refused, and was kept"
    for payment in charges.filter(created_at__gt=F("method__refused_at")).exclude(gateway_id=""):
        yield f"Payment {payment.pk} was made after method {payment.method_id} had been refused"


@audit.rule("payments.refused-is-unbound", of=(audit.some(PaymentMethod, unbinding_since__isnull=False),))
def refused_is_unbound() -> Iterator[str]:
    """A gateway that can forget a method was told that its customer has taken it back, or will be."""
    planned = Due.objects.filter(
        partner_id=current_partner().pk, kind=unbinding.UNBIND, object_id=OuterRef("pk")
    )
    for method in PaymentMethod.objects.filter(
        ~Exists(planned), unbinding_since__isnull=False, unbound_at=None
    ):
        yield f"Method {method.pk} was refused, its gateway does not know and nobody will tell it"


@audit.rule("payments.no-claim-after-refusal", of=(_REFUSED,))
def no_claim_after_refusal() -> Iterator[str]:
    """No charge was claimed after its method was refused; of every refusal it is known when, how and by whom."""
    claimed = Payment.objects.filter(
        method__refusal_recorded_at__isnull=False,
        save_method=False,
        claimed_at__gt=F("method__refusal_recorded_at"),
    )
    for payment in claimed:
        yield f"Payment {payment.pk} was claimed after method {payment.method_id} was refused"
    unknown = PaymentMethod.objects.filter(refused_at__isnull=False)
    for method in unknown.filter(Q(refusal_recorded_at=None) | Q(refused_how="")):
        yield f"Method {method.pk} was refused, and nothing tells how"


@audit.rule("payments.in-flight-goes-back", of=(audit.some(PaymentMethod, refused_at__isnull=False),))
def in_flight_goes_back() -> Iterator[str]:
    """What was on its way when its method was refused, and came, is being given back in full, or was."""
    # A sandbox's clock may stand still: what was captured after a refusal says so as well.
    late = Payment.objects.filter(
        Q(settled_at__gt=F("method__refused_at")) | Q(decline_reason=CONSENT_REVOKED),
        method__refused_at__isnull=False,
        save_method=False,
        state__in=CAPTURED,
    )
    for payment in late:
        if payment.given_back() < payment.amount:
            returned = f"{payment.given_back()} of {payment.amount}"
            yield f"Payment {payment.pk} came after its method was refused, {returned} goes back"


@audit.rule(
    "payments.erased-keep-no-method", of=(audit.some(PaymentMethod, customer__erased_at__isnull=False),)
)
def erased_keep_no_method() -> Iterator[str]:
    """What an erased customer paid by can neither be charged nor recognised, once the news has come here."""
    left = PaymentMethod.objects.filter(customer__erased_at__isnull=False)
    for method in left.exclude(customer_id__in=_told()).filter(Q(refused_at=None) | ~Q(title=HIDDEN)):
        yield f"Method {method.pk} belongs to an erased customer and is {method}"


@audit.rule("payments.unwanted-returned", of=(audit.some(Payment, state=PaymentState.REFUNDED),))
def unwanted_returned() -> Iterator[str]:
    """What is called refunded is given back in full, or staff know that it could not be."""
    back = Sum("refunds__amount", filter=~Q(refunds__state=RefundState.FAILED), default=0)
    short = Payment.objects.filter(state=PaymentState.REFUNDED).annotate(back=back).exclude(back=F("amount"))
    for payment in short:
        refunds = payment.refunds.values_list("pk", flat=True)
        if not _work("payments.refund").filter(object_id__in=list(refunds)).exists():
            returned = f"{payment.given_back()} of {payment.amount}"
            yield f"Payment {payment.pk} is called refunded, {returned} given back"


@audit.rule(
    "payments.open-is-watched",
    of=(
        audit.some(Payment, state__in=OPEN),
        audit.some(Refund, state__in=OPEN),
    ),
)
def open_is_watched() -> Iterator[str]:
    """Whatever is open has its next look planned; what is unknown for a day stands in the staff's queue."""
    yesterday = clock.wall() - timedelta(days=1)
    watched: tuple[tuple[QuerySet[Any], str, list[str]], ...] = (
        (Payment.objects.all(), "payments.payment", ["payments.send", "payments.sweep"]),
        # What goes by a payment order waits for people and for the bank: see `dispute_audits`.
        (
            Refund.objects.exclude(route=RefundRoute.BANK),
            "payments.refund",
            ["payments.refund", "payments.refund_sweep"],
        ),
    )
    for rows, kind, tasks in watched:
        plans = Due.objects.filter(
            partner_id=current_partner().pk, kind__in=tasks, object_id=OuterRef("pk"), is_sandbox=False
        )
        for row in rows.filter(~Exists(plans), state__in=OPEN):
            yield f"{kind} {row.pk} is {row.state}, and nothing will ask about it"
        told = _work(kind).filter(object_id=OuterRef("pk"))
        for row in rows.filter(~Exists(told), state__in=["unknown", "sending"], claimed_at__lt=yesterday):
            yield f"{kind} {row.pk} is unknown since {row.claimed_at}, and staff do not know"


@audit.rule("payments.reference-leads-back", of=(Payment, PaymentMethod))
def reference_leads_back() -> Iterator[str]:
    """A payment's reference leads back to it, on a connection that suits its partner."""
    for payment in _LED_ASTRAY.rows(is_sandbox=current_partner().is_sandbox):
        yield f"Payment {payment.pk}: reference {payment.reference_id} does not lead back to it"
    for method in _CONNECTED_TO_NOTHING.rows():
        yield f"Method {method.pk}: connection {method.connection_id} does not exist"


@audit.rule("payments.moved-before-sent", of=(audit.some(Entry, action="payments.moved"),))
def moved_before_sent() -> Iterator[str]:
    """A payment went to another gateway only before it was sent, never a charge, and is where it went last."""
    moves = Entry.objects.filter(action="payments.moved").order_by("pk")
    last = {UUID(one.object_id): one for one in moves}
    for payment in Payment.objects.filter(pk__in=last):
        entry = last[payment.pk]
        if entry.data["to"] != payment.connection_id:
            yield f"Payment {payment.pk} moved to {entry.data['to']}, and is at {payment.connection_id}"
        if payment.is_charge:
            yield f"Payment {payment.pk} is a charge by a saved method, and moved"
        if payment.claimed_at and payment.claimed_at < ids.made_at(entry.pk):
            yield f"Payment {payment.pk} moved after it had been sent at {payment.claimed_at}"


@audit.rule("payments.gateway-payment-once", of=(Payment,))
def gateway_payment_once() -> Iterator[str]:
    """One payment at the gateway is one payment here."""
    for payment in _TWINS.rows():
        yield f"Payment {payment.pk}: another one has {payment.gateway_id} as well"


# What each payment and refund must have in the ledger, side by side with what is there.
_POSTED = """
WITH money AS (
    SELECT 'payment' AS document, p.id AS document_id, p.purpose AS kind, p.amount AS moved, '' AS route, p.*
    FROM payments_payment p WHERE p.state IN ('succeeded', 'refunded')
    UNION ALL
    SELECT 'refund', r.id, 'refund', r.amount, r.route, p.*
    FROM payments_refund r JOIN payments_payment p ON p.id = r.payment_id WHERE r.state = 'succeeded'
), wanted AS (
    SELECT m.document, m.document_id, one.posting, jsonb_build_array(one.debit, one.credit, one.sum, m.kind,
        whose.owner, m.currency, m.connection_id, m.customer_id, m.subscription_id, m.channel_id, m.product_id,
        m.tariff_version_id) AS entry
    FROM money m
    JOIN public.connectors_connection c ON c.id = m.connection_id
    CROSS JOIN LATERAL (SELECT
        CASE WHEN c.partner_id IS NULL THEN 'operator' ELSE 'partner' END AS owner,
        CASE WHEN c.partner_id IS NULL THEN 'clearing' ELSE 'partner_payable' END AS held
    ) AS whose
    CROSS JOIN LATERAL (VALUES
        ('payment', 'paid', whose.held, 'receivable', m.moved),
        ('payment', 'fee', 'fee', whose.held, CASE whose.owner WHEN 'operator' THEN m.fee ELSE 0 END),
        ('refund', 'refunded', 'receivable',
            CASE WHEN m.route = 'bank' AND whose.owner = 'operator' THEN 'bank' ELSE whose.held END, m.moved)
    ) AS one (document, posting, debit, credit, sum)
    WHERE one.document = m.document AND one.sum <> 0
), held AS (
    SELECT document_kind AS document, document_id, posting, jsonb_build_array(debit, credit, amount, kind, owner,
        currency, connection_id, customer_id, subscription_id, channel_id, product_id, tariff_version_id) AS entry
    FROM ledger_transfer WHERE partner_id = %s AND document_kind IN ('payment', 'refund')
)
SELECT document, document_id, posting, wanted.entry::text, held.entry::text
FROM wanted FULL JOIN held USING (document, document_id, posting)
WHERE wanted.entry IS DISTINCT FROM held.entry
"""


@audit.rule("payments.posted-as-paid")
def posted_as_paid() -> Iterator[str]:
    """Sum, fee, side and dimensions of what was paid and given back stand in the ledger as the documents say."""
    with connection.cursor() as cursor:
        cursor.execute(_POSTED, [current_partner().pk])
        for document, key, posting, wanted, held in cursor.fetchall():
            yield f"{document} {key}, {posting}: {held} in the ledger, and {wanted} by the document"


@audit.rule("payments.findable", of=(Payment, Refund))
def findable() -> Iterator[str]:
    """Payments and refunds are found by their numbers at the gateway."""
    for payment in _PAYMENTS_UNFOUND.rows():
        yield f"Payment {payment.pk} is not found by {payment.gateway_id}"
    for refund in _REFUNDS_UNFOUND.rows():
        yield f"Refund {refund.pk} is not found by {refund.gateway_id}"


def _told() -> list[UUID]:
    """What news is still on its way about."""
    waiting = Delivery.objects.filter(partner_id=current_partner().pk)
    return list(waiting.values_list("event__object_id", flat=True))


def _work(kind: str) -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(partner_id=current_partner().pk, kind=kind)


# More rules of this app.
import apps.payments.dispute_audits  # noqa: E402
import apps.payments.receipt_audits  # noqa: E402, F401
