-- Copies of a template: of a hundred 70 plain, 10 promo, 10 with an add-on, 5 changed from today, 5 at the end of a trial.
WITH made AS MATERIALIZED (
    SELECT n, n %% 100 AS lot, (lpad(to_hex(1764000000000 + n), 12, '0') || '71' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid AS customer, (lpad(to_hex(1764000000000 + n), 12, '0') || '72' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid AS method, (lpad(to_hex(1764000000000 + n), 12, '0') || '73' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid AS subscription,
        (lpad(to_hex(1764000000000 + n), 12, '0') || '74' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid AS addon
    FROM generate_series(1, %(count)s) AS n
),
customers AS (
    INSERT INTO accounts_customer
    SELECT row.*
    FROM made, accounts_customer t,
    LATERAL jsonb_populate_record(NULL::accounts_customer, to_jsonb(t)
        || jsonb_build_object('id', customer, 'email', n || '@' || t.email)) AS row
    WHERE t.id = %(customer)s
),
methods AS (
    INSERT INTO payments_paymentmethod
    SELECT row.*
    FROM made, payments_paymentmethod t,
    LATERAL jsonb_populate_record(NULL::payments_paymentmethod, to_jsonb(t)
        || jsonb_build_object('id', method, 'customer_id', customer)) AS row
    WHERE t.id = %(method)s
),
subscriptions AS (
    INSERT INTO billing_subscription
    SELECT row.*
    FROM made, billing_subscription t,
    LATERAL jsonb_populate_record(NULL::billing_subscription, to_jsonb(t)
        || jsonb_build_object('id', subscription, 'customer_id', customer, 'method_id', method, 'ended_at', NULL,
            'end_reason', '', 'started_at', t.created_at, 'state', CASE WHEN lot >= 95 THEN 'trial' ELSE 'active' END,
            'anchor_date', CASE WHEN lot >= 95 THEN %(today)s ELSE %(anchor)s END,
            'cycle_day', extract(day FROM %(today)s::date), 'current_period_end', %(today)s,
            'current_period_start', %(anchor)s, 'billed_until', %(today)s)) AS row
    WHERE t.id = %(subscription)s
),
addons AS (
    INSERT INTO billing_subscription
    SELECT row.*
    FROM made, billing_subscription t,
    LATERAL jsonb_populate_record(NULL::billing_subscription, to_jsonb(t)
        || jsonb_build_object('id', addon, 'customer_id', customer, 'parent_id', subscription, 'ended_at', NULL,
            'end_reason', '', 'started_at', t.created_at, 'state', 'active', 'anchor_date', %(anchor)s,
            'cycle_day', extract(day FROM %(today)s::date), 'current_period_end', %(today)s,
            'current_period_start', %(anchor)s, 'billed_until', %(today)s)
        || %(extra)s::jsonb) AS row
    WHERE t.id = %(subscription)s AND lot BETWEEN 80 AND 89
),
terms (id, subscription_id, kind, start_date, anchor_date, is_free, columns) AS (
    SELECT (lpad(to_hex(1764000000000 + n), 12, '0') || '75' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid, subscription, 'regular', %(anchor)s, %(anchor)s, false, '{}'::jsonb FROM made WHERE lot < 95
    UNION ALL
    SELECT (lpad(to_hex(1764000000000 + n), 12, '0') || '75' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid, subscription, 'trial', %(anchor)s, %(today)s, true, '{}' FROM made WHERE lot >= 95
    UNION ALL
    SELECT (lpad(to_hex(1764000000000 + n), 12, '0') || '76' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid, subscription, 'regular', %(today)s, %(today)s, false, '{}' FROM made WHERE lot >= 95
    UNION ALL
    SELECT (lpad(to_hex(1764000000000 + n), 12, '0') || '76' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid, subscription, 'change', %(today)s, %(anchor)s, false, %(dear)s::jsonb
    FROM made WHERE lot BETWEEN 90 AND 94
    UNION ALL
    SELECT (lpad(to_hex(1764000000000 + n), 12, '0') || '76' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid, addon, 'regular', %(anchor)s, %(anchor)s, false, %(extra)s::jsonb
    FROM made WHERE lot BETWEEN 80 AND 89
),
phases AS (
    INSERT INTO billing_subscriptionphase
    SELECT row.*
    FROM terms, billing_subscriptionphase t,
    LATERAL jsonb_populate_record(NULL::billing_subscriptionphase, to_jsonb(t) || columns
        || jsonb_build_object('id', terms.id, 'subscription_id', terms.subscription_id, 'kind', terms.kind,
            'start_date', terms.start_date, 'anchor_date', terms.anchor_date, 'is_free', terms.is_free,
            'cycle_day', extract(day FROM %(today)s::date))) AS row
    WHERE t.id = %(phase)s
),
discounts AS (
    INSERT INTO billing_subscriptiondiscount (id, subscription_id, name, percent, amount, start_date, created_at)
    SELECT (lpad(to_hex(1764000000000 + n), 12, '0') || '77' || substr(md5(random()::text), 1, 2) || '8' || substr(md5(random()::text), 1, 15))::uuid, subscription, 'Акция', 30, 0, %(anchor)s, now() FROM made WHERE lot BETWEEN 70 AND 79
)
INSERT INTO core_due (partner_id, kind, object_id, due_at, is_sandbox, attempts, error)
SELECT %(partner)s, 'billing.renew', subscription, now() + interval '1 year', false, 0, '' FROM made
