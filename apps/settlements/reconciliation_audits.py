"""What must hold of days of gateways and their payouts: sums add up, a closed day is left alone, the ledger knows."""

from collections.abc import Iterator

from django.db import connection

from apps.core import audit


def _select(sql: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


_DAYS = """
SELECT d.day, d.connection_id, d.payments, d.refunds, d.fees, sums.payments, sums.refunds, sums.fees
FROM settlements_gatewayday d
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(amount) FILTER (WHERE entry = 'payment'), 0) AS payments,
        COALESCE(sum(amount) FILTER (WHERE entry IN ('refund', 'dispute')), 0) AS refunds,
        COALESCE(sum(COALESCE(fee, own_fee)), 0) AS fees
    FROM settlements_registerline WHERE day_id = d.id
) AS sums
WHERE (d.payments, d.refunds, d.fees) IS DISTINCT FROM (sums.payments, sums.refunds, sums.fees)
"""


@audit.rule("settlements.day-adds-up", scope="public")
def day_adds_up() -> Iterator[str]:
    """A gateway's day is what the lines of its register come to."""
    for day, gateway, *sums in _select(_DAYS):
        yield f"Day {day} of gateway {gateway}: {sums[:3]}, its lines come to {sums[3:]}"


_CLOSED = """
SELECT d.day, d.connection_id, d.checked_at > d.closed_at,
    EXISTS (SELECT FROM settlements_difference x WHERE x.day_id = d.id
        AND (x.explained_at IS NULL OR x.explained_at > d.closed_at))
FROM settlements_gatewayday d
WHERE d.state = 'closed' AND (d.checked_at > d.closed_at OR EXISTS (
    SELECT FROM settlements_difference x WHERE x.day_id = d.id
        AND (x.explained_at IS NULL OR x.explained_at > d.closed_at)))
"""


@audit.rule("settlements.closed-day", scope="public")
def closed_day() -> Iterator[str]:
    """All of a closed day was explained before, and it was not compared after."""
    for day, gateway, compared, unexplained in _select(_CLOSED):
        yield f"Day {day} of gateway {gateway} is closed; compared later: {compared}, unexplained: {unexplained}"


_PAYOUTS = """
SELECT p.id, p.amount, p.expected, COALESCE(sum(d.payments - d.refunds - d.fees), 0), l.amount, l.state
FROM settlements_gatewaypayout p
JOIN settlements_bankline l ON l.id = p.line_id
LEFT JOIN settlements_gatewayday d ON d.payout_id = p.id
GROUP BY p.id, l.id
HAVING p.expected <> COALESCE(sum(d.payments - d.refunds - d.fees), 0) OR p.amount <> l.amount
    OR (p.undone_at IS NULL) <> (l.state = 'payout') OR (p.undone_at IS NOT NULL AND count(d.id) > 0)
    OR bool_or(d.connection_id <> p.connection_id)
UNION ALL
SELECT l.id, l.amount, NULL, NULL, l.amount, l.state FROM settlements_bankline l
WHERE l.state = 'payout' AND NOT EXISTS (
    SELECT FROM settlements_gatewaypayout p WHERE p.line_id = l.id AND p.undone_at IS NULL)
"""


@audit.rule("settlements.payout-of-days", scope="public")
def payout_of_days() -> Iterator[str]:
    """A payout is one line of the statement, of its gateway's days, and expects what they come to."""
    for payout, amount, expected, days, line, state in _select(_PAYOUTS):
        yield f"Payout {payout} of {amount}, line of {line} is {state}: expects {expected}, its days are {days}"


# What is told with the payments themselves is posted with them, so that only the rest of the fee is the payout's.
_POSTED = """
WITH wanted AS (
    SELECT p.id, CASE WHEN count(r.id) > 0 THEN p.amount ELSE 0 END AS bank,
        COALESCE(sum(COALESCE(r.fee - r.own_fee, 0)), 0) AS fee
    FROM settlements_gatewaypayout p
    LEFT JOIN settlements_gatewayday d ON d.payout_id = p.id
    LEFT JOIN settlements_registerline r ON r.day_id = d.id AND r.partner_id IS NOT NULL
    GROUP BY p.id
), posted AS (
    SELECT document_id AS id,
        sum(CASE 'bank' WHEN debit THEN amount WHEN credit THEN -amount ELSE 0 END) AS bank,
        sum(CASE 'fee' WHEN debit THEN amount WHEN credit THEN -amount ELSE 0 END) AS fee
    FROM ledger_transfer WHERE document_kind = 'gateway_payout' GROUP BY document_id
)
SELECT COALESCE(w.id, p.id), w.bank, w.fee, p.bank, p.fee
FROM wanted w FULL JOIN posted p ON p.id = w.id
WHERE (COALESCE(w.bank, 0), COALESCE(w.fee, 0)) <> (COALESCE(p.bank, 0), COALESCE(p.fee, 0))
"""


@audit.rule("settlements.payout-posted", scope="public")
def payout_posted() -> Iterator[str]:
    """What a gateway paid out for days stands on the bank account, and their fee, to the kopeck, once."""
    for payout, bank, fee, *posted in _select(_POSTED):
        yield f"Payout {payout}: {bank} on the account and {fee} of fee are due in the ledger, {posted} stand there"
