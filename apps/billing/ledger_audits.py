"""The ledger against the documents: each line of an invoice with what must stand of it, derived by SQL of its own."""

from collections.abc import Iterator
from typing import Any

from django.db import connection

from apps.core import audit, clock
from apps.core.tenancy import current_partner_id

# Every line with what is agreed of it, and every transfer of its documents with the line that it is about. A note's
# postings are numbered by its own lines; what the balance pays, or gets, stands with the last line.
_WITH_LINES = """
WITH line AS (
    SELECT l.id, i.id AS invoice, i.number, i.state, l.position, l.amount, l.vat, l.credited, i.credit_applied, l.terms,
        COALESCE(l.terms ->> 'trade' = 'agency', false) AS is_agency,
        (i.paid_at AT TIME ZONE %(zone)s)::date AS paid_on, l.period_start AS starts, l.period_end AS ends,
        max(l.period_end) OVER of_invoice AS over, max(l.position) OVER of_invoice AS last_position,
        jsonb_build_array(i.currency, l.terms ->> 'owner', i.legal_entity_id, i.customer_id,
            COALESCE(l.subscription_id, i.subscription_id), i.channel_id, l.product_id, l.tariff_version_id,
            (l.terms ->> 'provider_id')::bigint, l.vat_rate) AS dimensions,
        CASE i.purpose WHEN 'new' THEN 'new' ELSE 'renewal' END AS sale,
        CASE WHEN i.total = 0 OR p.fee IS NULL OR l.terms ->> 'owner' <> 'operator' THEN 0
            ELSE round(p.fee * sum(l.amount) OVER so_far / i.total, 2)
            - round(p.fee * (sum(l.amount) OVER so_far - l.amount) / i.total, 2) END AS fee
    FROM billing_invoice i
    JOIN billing_invoiceline l ON l.invoice_id = i.id
    LEFT JOIN billing_invoicepayment link ON link.invoice_id = i.id AND NOT link.failed
    LEFT JOIN payments_payment p ON p.id = link.payment_id
    WHERE i.state <> 'draft'
    WINDOW of_invoice AS (PARTITION BY i.id), so_far AS (PARTITION BY i.id ORDER BY l.position)
), note AS (
    SELECT n.id AS document, n.number, n.to_debt, n.to_balance, c.invoice_line_id, c.amount, c.vat,
        row_number() OVER (PARTITION BY n.id ORDER BY c.id) AS position,
        count(*) OVER (PARTITION BY n.id) AS last_position
    FROM billing_creditnote n JOIN billing_creditnoteline c ON c.credit_note_id = n.id
), posted AS (
    SELECT document_kind, document_id, posting, debit, credit, amount, kind, occurred_at,
        substring(posting FROM '[0-9]+$')::int AS position,
        regexp_replace(regexp_replace(posting, '(-[0-9]+)+$', ''), '^credit-', '') AS name,
        jsonb_build_array(currency, owner, seller_id, customer_id, subscription_id, channel_id,
            product_id, tariff_version_id, provider_id, vat_rate) AS dimensions
    FROM ledger_transfer WHERE partner_id = %(partner)s AND document_kind IN ('invoice', 'credit', 'credit_note')
), held AS (
    -- Two joins, each by what is equal: one of either kind would compare every transfer with every line.
    SELECT p.*, COALESCE(of_note.id, of_place.id) AS line, COALESCE(of_note.number, of_place.number) AS number,
        COALESCE(of_note.position, of_place.position) AS line_position
    FROM posted p
    LEFT JOIN payments_refund r ON p.document_kind = 'credit' AND r.id = p.document_id
    LEFT JOIN billing_invoicepayment link ON link.payment_id = r.payment_id
    LEFT JOIN note ON p.document_kind = 'credit_note' AND note.document = p.document_id
        AND note.position = COALESCE(p.position, note.last_position)
    LEFT JOIN line of_note ON of_note.id = note.invoice_line_id
    LEFT JOIN line of_place ON of_place.invoice
            = CASE WHEN p.document_kind <> 'credit_note' THEN COALESCE(link.invoice_id, p.document_id) END
        AND of_place.position = COALESCE(p.position, of_place.last_position)
), refunded AS MATERIALIZED (
    SELECT line AS id, sum(amount) AS total, COALESCE(sum(amount) FILTER (WHERE name = 'vat'), 0) AS vat
    FROM held WHERE document_kind = 'credit' AND name IN ('net', 'vat') GROUP BY line
)
"""

_LINES = """
, deferred AS (
    SELECT line AS id, sum(CASE WHEN credit = 'deferred' THEN amount WHEN name <> 'recognised' THEN -amount ELSE 0 END)
        AS amount
    FROM held WHERE 'deferred' IN (debit, credit) GROUP BY line
), debt AS (
    SELECT invoice_line_id AS id, sum(amount) AS gross, sum(note.vat) AS vat_of_it
    FROM note WHERE to_debt > 0 GROUP BY invoice_line_id
), wanted AS (
    SELECT line.*, one.name, one.debit, one.credit, one.sum, one.is_due FROM line
    LEFT JOIN deferred USING (id)
    LEFT JOIN debt USING (id)
    CROSS JOIN LATERAL (SELECT CASE WHEN is_agency THEN 'agency' ELSE 'deferred' END AS income,
        CASE WHEN is_agency THEN 'agency' ELSE 'vat' END AS tax) AS side
    CROSS JOIN LATERAL (VALUES
        ('net', 'receivable', income, line.amount - line.vat, true),
        ('vat', 'receivable', tax, line.vat, true),
        ('balance', 'advances', 'receivable', credit_applied, position = last_position),
        ('void-net', income, 'receivable',
            line.amount - line.vat - COALESCE(debt.gross - debt.vat_of_it, 0), state = 'void'),
        ('void-vat', tax, 'receivable', line.vat - COALESCE(debt.vat_of_it, 0), state = 'void'),
        ('void-balance', 'receivable', 'advances', credit_applied, state = 'void' AND position = last_position),
        ('recognised', 'deferred', 'revenue', COALESCE(deferred.amount, 0),
            state = 'paid' AND over <= %(today)s AND NOT EXISTS (SELECT FROM core_due
                WHERE partner_id = %(partner)s AND kind = 'billing.recognise' AND object_id = invoice))
    ) AS one (name, debit, credit, sum, is_due)
)
SELECT w.number, w.position, w.name, w.sum, h.amount
FROM wanted w
LEFT JOIN held h ON h.document_kind = 'invoice' AND (h.line, h.name) = (w.id, w.name)
WHERE CASE WHEN h.posting IS NULL THEN w.is_due AND w.sum <> 0
    ELSE NOT (w.is_due OR w.name = 'recognised' AND w.state IN ('paid', 'refunded'))
        OR (h.debit, h.credit, h.amount, h.kind) IS DISTINCT FROM (w.debit, w.credit, w.sum, w.sale)
        OR h.dimensions IS DISTINCT FROM w.dimensions END
UNION ALL
SELECT number, position, posting, NULL, amount
FROM held WHERE line IS NULL OR name NOT IN ('net', 'vat', 'balance', 'void-net', 'void-vat', 'void-balance',
    'recognised', 'month', 'unearned', 'share', 'cost', 'principal', 'commission', 'commission_vat')
    AND NOT (document_kind = 'credit_note' AND name = 'returned')
UNION ALL
SELECT held.number, held.position, held.posting, NULL, held.amount
FROM held JOIN line ON line.id = held.line
WHERE held.document_kind = 'credit' AND held.name IN ('net', 'vat') AND (
    held.dimensions IS DISTINCT FROM line.dimensions OR held.kind <> 'refund' OR held.credit <> 'receivable'
    OR held.debit <> ALL (CASE WHEN is_agency THEN '{agency}'::text[] WHEN held.name = 'vat' THEN '{vat}'
        ELSE '{deferred,revenue}' END))
UNION ALL
SELECT line.number, position, 'credit-vat', round(line.vat * total / amount, 2), refunded.vat
FROM refunded JOIN line USING (id)
WHERE amount <> 0 AND CASE WHEN credited = 0 THEN refunded.vat <> round(line.vat * total / amount, 2)
    ELSE total + credited = amount AND line.vat
        <> refunded.vat + (SELECT sum(c.vat) FROM billing_creditnoteline c WHERE c.invoice_line_id = line.id) END
"""


@audit.rule("billing.ledger-of-lines")
def ledger_of_lines() -> Iterator[str]:
    """Net, VAT, recognition and credit of each line stand in the ledger as they follow from the line."""
    values = {**_values(), "today": clock.today()}
    for number, position, name, wanted, held in _select(_WITH_LINES + _LINES, values):
        yield f"Invoice {number}, line {position}: {name} is {held} in the ledger, and {wanted} by the line"


# What of a line is credited, and with it what others had earned of it, is gone for good; a provider or a partner may
# keep theirs. Nothing was earned of what was credited before it was paid.
_ECONOMICS = """
, refunded_late AS MATERIALIZED (
    SELECT line.id, sum(h.amount) AS total FROM held h JOIN line ON line.id = h.line
    WHERE h.document_kind = 'credit' AND h.name IN ('net', 'vat')
        AND (h.occurred_at AT TIME ZONE %(zone)s)::date > line.paid_on + (line.terms ->> 'share_days')::int
    GROUP BY line.id
), of_debt AS MATERIALIZED (
    SELECT invoice_line_id AS id, sum(amount) AS total FROM note WHERE to_debt > 0 GROUP BY invoice_line_id
), given AS MATERIALIZED (
    SELECT DISTINCT line AS id FROM held WHERE name = 'recognised'
), agreed AS (
    SELECT line.*, sums.*, LEAST(sums.cost, line.amount) AS commission,
        COALESCE(refunded.total, 0) + line.credited AS gone,
        COALESCE((SELECT sum(c.amount) FROM billing_creditnoteline c
            JOIN billing_creditnote n ON n.id = c.credit_note_id WHERE c.invoice_line_id = line.id
            AND (n.issued_at AT TIME ZONE %(zone)s)::date > line.paid_on + (line.terms ->> 'share_days')::int), 0)
        + COALESCE(refunded_late.total, 0) AS late,
        COALESCE(of_debt.total, 0) AS unpaid,
        COALESCE((line.terms ->> 'commission_vat_rate')::numeric, 0) AS rate,
        given.id IS NOT NULL
        OR line.state = 'paid' AND line.over <= %(today)s AND NOT EXISTS (SELECT FROM core_due
            WHERE partner_id = %(partner)s AND kind = 'billing.recognise' AND object_id = line.invoice) AS is_given
    FROM line
    LEFT JOIN refunded USING (id)
    LEFT JOIN refunded_late USING (id)
    LEFT JOIN of_debt USING (id)
    LEFT JOIN given USING (id)
    CROSS JOIN LATERAL (
        SELECT max(sum) FILTER (WHERE who = 'share') AS share, max(sum) FILTER (WHERE who = 'cost') AS cost
        FROM (SELECT who, round(
            CASE line.terms ->> (who || '_base') WHEN 'gross' THEN line.amount
                WHEN 'fee' THEN GREATEST(line.amount - line.vat - line.fee, 0) ELSE line.amount - line.vat END
            * COALESCE(NULLIF(line.terms ->> (who || '_percent'), ''), '0')::numeric / 100, 2)
            + COALESCE((line.terms ->> (who || '_fixed'))::numeric, 0) AS sum
            FROM unnest('{share,cost}'::text[]) AS who) AS of_each
    ) AS sums
    WHERE line.state IN ('paid', 'refunded')
), wanted AS (
    SELECT agreed.*, one.name, one.debit, one.credit, one.sum
    FROM agreed
    CROSS JOIN LATERAL (SELECT
        CASE WHEN terms ? 'share_kept' THEN unpaid ELSE gone - late END AS share_gone,
        CASE WHEN terms ? 'cost_kept' THEN unpaid ELSE gone END AS cost_gone,
        NULLIF(amount, 0) AS whole) AS w
    CROSS JOIN LATERAL (SELECT
        share - COALESCE(round(share * share_gone / whole, 2), 0) AS share_left,
        cost - COALESCE(round(cost * cost_gone / whole, 2), 0) AS cost_left,
        commission - COALESCE(round(commission * gone / whole, 2), 0) AS kept,
        round(commission * rate / (100 + rate), 2)
            - COALESCE(round(round(commission * rate / (100 + rate), 2) * gone / whole, 2), 0) AS kept_vat) AS lft
    CROSS JOIN LATERAL (VALUES
        ('share', 'partner_share', 'partner_payable',
            CASE WHEN is_given OR NOT terms ? 'share_on' THEN share_left ELSE 0 END),
        ('cost', 'provider_cost', 'provider_payable',
            CASE WHEN NOT is_agency AND (is_given OR NOT terms ? 'cost_on') THEN cost_left ELSE 0 END),
        ('principal', 'agency', 'provider_payable', CASE WHEN is_agency THEN amount - gone - kept ELSE 0 END),
        ('commission', 'agency', 'deferred', CASE WHEN is_agency THEN kept - kept_vat ELSE 0 END),
        ('commission_vat', 'agency', 'vat', CASE WHEN is_agency THEN kept_vat ELSE 0 END)
    ) AS one (name, debit, credit, sum)
), moved AS (
    SELECT line AS id, name, sum(CASE document_kind WHEN 'invoice' THEN amount ELSE -amount END) AS sum
    FROM held WHERE name IN ('share', 'cost', 'principal', 'commission', 'commission_vat') GROUP BY line, name
)
SELECT COALESCE(wanted.number, line.number), name, wanted.sum, moved.sum
FROM wanted FULL JOIN moved USING (id, name) LEFT JOIN line USING (id)
WHERE COALESCE(wanted.sum, 0) <> COALESCE(moved.sum, 0)
UNION ALL
SELECT line.number, held.posting, NULL, held.amount
FROM held
JOIN line ON line.id = held.line
JOIN (VALUES ('share', 'partner_share', 'partner_payable'), ('cost', 'provider_cost', 'provider_payable'),
    ('principal', 'agency', 'provider_payable'), ('commission', 'agency', 'deferred'),
    ('commission_vat', 'agency', 'vat')) AS side (name, debit, credit) USING (name)
WHERE held.dimensions IS DISTINCT FROM line.dimensions
    OR held.kind <> CASE held.document_kind WHEN 'invoice' THEN line.sale ELSE 'refund' END
    OR CASE held.document_kind WHEN 'invoice' THEN (held.debit, held.credit) <> (side.debit, side.credit)
        ELSE held.credit <> side.debit
        OR held.debit NOT IN (side.credit, CASE name WHEN 'commission' THEN 'revenue' ELSE side.credit END) END
"""


@audit.rule("billing.economics")
def economics_of_lines() -> Iterator[str]:
    """A partner's share, a provider's cost and a principal's money are what the terms of each line make them."""
    values = {**_values(), "today": clock.today()}
    for number, name, wanted, held in _select(_WITH_LINES + _ECONOMICS, values):
        yield f"Invoice {number}: {name} is {held} in the ledger, and {wanted} by its terms"


# What is earned of a line by its days: at the last month's end that is done, the part of them that was over, of what is
# left of its income. What went back is of its own days, or of all alike. Parts of it may round a kopeck off.
_BY_DAY = """
, part AS (
    SELECT c.invoice_line_id AS id, c.amount, c.period_start AS since, c.period_end AS until
    FROM billing_creditnoteline c
    UNION ALL
    SELECT id, total, NULL, NULL FROM refunded
), planned AS (
    SELECT object_id AS invoice, date_trunc('month', (due_at AT TIME ZONE %(zone)s)::date - 1)::date AS done
    FROM core_due WHERE partner_id = %(partner)s AND kind = 'billing.recognise'
), moved AS (
    SELECT line AS id,
        COALESCE(sum(CASE name WHEN 'month' THEN amount WHEN 'unearned' THEN -amount END), 0) AS earned,
        sum(CASE WHEN credit = 'deferred' AND name <> 'unearned' THEN amount
            WHEN debit = 'deferred' AND name <> 'month' THEN -amount ELSE 0 END) AS own,
        bool_or(name = 'recognised') AS is_over, count(*) FILTER (WHERE name = 'month') AS months
    FROM held GROUP BY line
), gone AS (
    SELECT id, sum(part.amount) AS amount, count(*) AS parts, sum(part.amount * {of_part}) AS served
    FROM part JOIN line USING (id) LEFT JOIN planned USING (invoice)
    GROUP BY id
), served AS (
    SELECT line.*, moved.earned, moved.months, moved.own, planned.done, line.amount - COALESCE(gone.amount, 0) AS rest,
        COALESCE(gone.parts, 0) AS parts,
        line.amount * {of_line} - COALESCE(gone.served, 0) AS served
    FROM line
    JOIN moved USING (id)
    LEFT JOIN planned USING (invoice)
    LEFT JOIN gone USING (id)
    WHERE NOT moved.is_over
), wanted AS (
    SELECT served.*, round(own * LEAST(GREATEST(round(COALESCE(served / NULLIF(rest, 0), 0), 9), 0), 1), 2) AS sum
    FROM served
)
SELECT number, position, sum, earned FROM wanted
WHERE CASE
    WHEN state = 'paid' AND done IS NOT NULL AND starts IS NOT NULL AND ends > done
        THEN abs(sum - earned) > CASE WHEN parts = 0 THEN 0 ELSE 0.01 END
    WHEN state = 'paid' THEN false
    ELSE earned <> 0 OR state <> 'refunded' AND months > 0 END
UNION ALL
SELECT line.number, held.position, NULL, held.amount
FROM held JOIN line ON line.id = held.line
WHERE held.name IN ('month', 'unearned') AND (held.dimensions IS DISTINCT FROM line.dimensions
    OR ARRAY[held.debit, held.credit, held.kind]::text[] <> CASE held.name
        WHEN 'month' THEN ARRAY['deferred', 'revenue', line.sale] ELSE '{revenue,deferred,refund}'::text[] END)
"""


def _over(day: str, start: str, end: str) -> str:
    """SQL of how much of the days [start, end) is over when `day` begins."""
    return f"((LEAST(GREATEST({day}, {start}), {end}) - {start})::numeric / GREATEST({end} - {start}, 1))"


@audit.rule("billing.earned-by-day")
def earned_by_day() -> Iterator[str]:
    """Of a line that is not over, so much is revenue as its days were over at the last month's end."""
    query = _BY_DAY.replace("{of_line}", _over("done", "starts", "ends"))
    query = query.replace("{of_part}", _over("done", "COALESCE(since, starts)", "COALESCE(until, ends)"))
    for number, position, wanted, held in _select(_WITH_LINES + query, _values()):
        yield f"Invoice {number}, line {position}: {held} is earned in the ledger, and {wanted} by its days"


# What of a note stays with the customer stands with its last line.
_NOTES = """
, wanted AS (
    SELECT note.document, note.number, one.posting, one.debits, one.credit, one.sum, line.dimensions
    FROM note JOIN line ON line.id = note.invoice_line_id
    CROSS JOIN LATERAL (VALUES
        ('net-' || note.position, CASE WHEN is_agency THEN '{agency}'::text[] ELSE '{deferred,revenue}' END,
            'receivable', note.amount - note.vat),
        ('vat-' || note.position, CASE WHEN is_agency THEN '{agency}'::text[] ELSE '{vat}' END,
            'receivable', note.vat),
        ('balance', '{receivable}', 'advances',
            CASE WHEN note.position = note.last_position THEN to_balance ELSE 0 END)
    ) AS one (posting, debits, credit, sum)
    WHERE one.sum <> 0
), standing AS (
    SELECT document_id AS document, posting, debit, credit, amount, kind, dimensions
    FROM posted
    WHERE document_kind = 'credit_note'
        AND name NOT IN ('unearned', 'share', 'cost', 'principal', 'commission', 'commission_vat', 'returned')
)
SELECT COALESCE(number, document::text), posting, w.sum, h.amount
FROM wanted w FULL JOIN standing h USING (document, posting)
WHERE (h.debit = ANY (w.debits), h.credit, h.amount, h.kind, h.dimensions)
    IS DISTINCT FROM (true, w.credit, w.sum, 'refund', w.dimensions)
"""


@audit.rule("billing.ledger-of-credit-notes")
def ledger_of_credit_notes() -> Iterator[str]:
    """What a credit note took off income and VAT, and put onto the balance, stands in the ledger, and no more."""
    for number, posting, wanted, held in _select(_WITH_LINES + _NOTES, _values()):
        yield f"Credit note {number}: {posting} is {held} in the ledger, and {wanted} by the note"


def _values() -> dict[str, Any]:
    return {"partner": current_partner_id(), "zone": clock.zone().key}


def _select(query: str, values: dict[str, Any] | None = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()
