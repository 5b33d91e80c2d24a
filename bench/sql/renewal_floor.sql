-- All that a run writes for one partner, in one statement: what a careful hand would do with nothing but SQL.
WITH due AS (
    DELETE FROM core_due WHERE partner_id = %(partner)s AND kind = 'billing.renew' AND due_at <= now()
    RETURNING object_id
),
head AS MATERIALIZED (
    SELECT s.*, row_number() OVER (ORDER BY s.id) AS n, (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid AS invoice_id, (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid AS payment_id, m.connection_id,
        nextval(pg_get_serial_sequence('connectors_gatewayreference', 'id')) AS reference_id
    FROM due JOIN billing_subscription s ON s.id = due.object_id
    JOIN payments_paymentmethod m ON m.id = s.method_id AND m.is_active
),
billed AS (
    SELECT invoice_id, n, id AS subscription_id, product_id, customer_id, 1 AS position FROM head
    UNION ALL
    SELECT head.invoice_id, head.n, s.id, s.product_id, s.customer_id, 2
    FROM head JOIN billing_subscription s ON s.parent_id = head.id AND s.state IN ('trial', 'active', 'past_due')
),
line AS MATERIALIZED (
    SELECT billed.*, p.id AS phase_id, p.tariff_version_id, p.name, p.quantity, p.price, gross - off AS amount,
        off AS discount, round((gross - off) * 22 / 122, 2) AS vat
    FROM billed
    CROSS JOIN LATERAL (
        SELECT p.* FROM billing_subscriptionphase p
        WHERE p.subscription_id = billed.subscription_id AND p.start_date <= %(today)s AND p.dropped_at IS NULL
        ORDER BY p.start_date DESC LIMIT 1
    ) AS p
    CROSS JOIN LATERAL (SELECT p.price * p.quantity AS gross) AS g
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(round(gross * d.percent / 100, 2) + d.amount), 0) AS off
        FROM billing_subscriptiondiscount d
        WHERE d.subscription_id = billed.subscription_id AND d.start_date <= %(today)s
            AND (d.end_date IS NULL OR d.end_date > %(today)s)
    ) AS d
),
total AS MATERIALIZED (
    SELECT invoice_id, sum(amount) AS total, sum(vat) AS vat FROM line GROUP BY invoice_id
),
allotted AS (
    INSERT INTO policies_numbersequence AS sequence (kind, legal_entity_id, partner_id, year, last)
    SELECT 'invoice', %(entity)s, %(partner)s, %(year)s, count(*) FROM head
    ON CONFLICT (partner_id, kind, legal_entity_id, year) DO UPDATE SET last = sequence.last + excluded.last
    RETURNING last
),
numbered AS MATERIALIZED (
    SELECT head.*, total.total, total.vat,
        %(prefix)s || lpad((allotted.last - (SELECT count(*) FROM head) + n)::text, 6, '0') AS number
    FROM head JOIN total USING (invoice_id), allotted
),
invoices AS (
    INSERT INTO billing_invoice (id, number, customer_id, subscription_id, legal_entity_id, purpose, state, total, vat,
        credit_applied, currency, collection, business_date, due_date, issued_at, channel_id, channel_code)
    SELECT invoice_id, number, customer_id, id, legal_entity_id, 'renewal', 'open', total, vat, 0, currency, collection,
        %(today)s, %(today)s::date + 3, now(), channel_id, channel_code
    FROM numbered
),
lines AS (
    INSERT INTO billing_invoiceline (id, invoice_id, subscription_id, product_id, tariff_version_id, position,
        description, quantity, phase_id, period_date, period_start, period_end, part, discount, amount, credited,
        vat_rate, vat, terms)
    SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid, invoice_id, subscription_id, product_id, tariff_version_id, position, name, quantity, phase_id,
        %(today)s, %(today)s, %(next_date)s, 0, discount, amount, 0, 22, vat, %(terms)s::jsonb
    FROM line
),
referred AS (
    INSERT INTO connectors_gatewayreference (id, connection_id, partner_id, kind, object_id, gateway_id)
    SELECT reference_id, connection_id, %(partner)s, 'payments.payment', payment_id, '' FROM head
),
payments AS (
    INSERT INTO payments_payment (id, customer_id, method_id, connection_id, reference_id, amount, currency, purpose,
        description, channel_id, subscription_id, product_id, tariff_version_id, created_at, state, save_method,
        return_url, confirmation_url, gateway_id, decline_reason, fee)
    SELECT payment_id, customer_id, method_id, connection_id, reference_id, total, currency, 'renewal', name,
        channel_id, id, product_id, tariff_version_id, now(), 'created', false, '', '', '', '', 0
    FROM numbered
),
links AS (
    INSERT INTO billing_invoicepayment (id, invoice_id, payment_id, failed)
    SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid, invoice_id, payment_id, false FROM head
),
sends AS (
    INSERT INTO core_due (partner_id, kind, object_id, due_at, is_sandbox, attempts, error)
    SELECT %(partner)s, 'payments.send', payment_id, now(), false, 0, '' FROM head
),
transfers AS (
    INSERT INTO ledger_transfer (partner_id, is_sandbox, document_kind, document_id, posting, occurred_at,
        business_date, recorded_at, debit, credit, amount, currency, owner, kind, seller_id, customer_id,
        subscription_id, channel_id, product_id, tariff_version_id, provider_id, vat_rate)
    SELECT %(partner)s, false, 'invoice', line.invoice_id, part.name || '-' || line.position, now(), %(today)s, now(),
        'receivable', part.credit, part.amount, head.currency, %(terms)s::jsonb ->> 'owner', 'renewal',
        head.legal_entity_id, head.customer_id, line.subscription_id, head.channel_id, line.product_id,
        line.tariff_version_id, (%(terms)s::jsonb ->> 'provider_id')::bigint, 22
    FROM line JOIN head USING (invoice_id)
    CROSS JOIN LATERAL (VALUES ('net', 'deferred', line.amount - line.vat), ('vat', 'vat', line.vat))
        AS part (name, credit, amount)
),
told AS (
    INSERT INTO core_event (id, partner_id, type, object_id, data, occurred_at)
    SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid, %(partner)s, 'billing.InvoiceIssued', invoice_id, jsonb_build_object('subscription_id', id), now()
    FROM head RETURNING id
),
deliveries AS (
    INSERT INTO core_delivery (event_id, partner_id, handler, next_at, attempts, error)
    SELECT told.id, %(partner)s, handler, now(), 0, '' FROM told, unnest(%(handlers)s::text[]) AS handler
),
found_by AS (
    INSERT INTO core_searchkey (digest, partner_id, kind, object_id)
    SELECT sha256(convert_to('bench' || lower(number), 'UTF8')), %(partner)s, 'billing.Invoice', invoice_id
    FROM numbered
)
UPDATE billing_subscription SET billed_until = %(next_date)s, price = line.price,
    tariff_version_id = line.tariff_version_id
FROM line WHERE billing_subscription.id = line.subscription_id
