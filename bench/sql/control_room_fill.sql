-- Copies of a template order, each with an item, a service and a fulfilment of its own; the last of them hang.
WITH made AS MATERIALIZED (
    SELECT n, n > %(count)s - %(open)s AS hangs,
        now() - (%(count)s - n) * interval '20 seconds' AS at,
        (lpad(to_hex(1764000000000 + n), 12, '0') || '71' || substr(md5(n || 'a'), 1, 2) || '8' || substr(md5(n || 'a'), 3, 15))::uuid AS order_id,
        (lpad(to_hex(1764000000000 + n), 12, '0') || '72' || substr(md5(n || 'b'), 1, 2) || '8' || substr(md5(n || 'b'), 3, 15))::uuid AS item_id,
        (lpad(to_hex(1764000000000 + n), 12, '0') || '73' || substr(md5(n || 'c'), 1, 2) || '8' || substr(md5(n || 'c'), 3, 15))::uuid AS service_id
    FROM generate_series(1, %(count)s) AS n
),
orders AS (
    INSERT INTO orders_order
    SELECT row.*
    FROM made, orders_order t,
    LATERAL jsonb_populate_record(NULL::orders_order, to_jsonb(t) || jsonb_build_object('id', order_id,
        'number', 'O26-' || lpad(n::text, 7, '0'), 'invoice_id', NULL, 'request_key', '', 'created_at', at,
        'state', CASE WHEN hangs THEN 'in_progress' ELSE 'completed' END)) AS row
    WHERE t.id = %(order)s
),
items AS (
    INSERT INTO orders_orderitem
    SELECT row.*
    FROM made, orders_orderitem t,
    LATERAL jsonb_populate_record(NULL::orders_orderitem, to_jsonb(t) || jsonb_build_object('id', item_id,
        'order_id', made.order_id, 'subscription_id', NULL,
        'state', CASE WHEN hangs THEN 'in_progress' ELSE 'completed' END)) AS row
    WHERE t.id = %(item)s
),
services AS (
    INSERT INTO orders_service (id, customer_id, subscription_id, product_id, tariff_version_id, name, state, key, url,
        instructions, answers_text, request_id, created_at)
    SELECT service_id, t.customer_id, %(subscription)s, %(product)s, %(version)s, 'Антивирус',
        CASE WHEN hangs THEN 'pending_active' ELSE 'active' END, '', '', '', '', service_id, at
    FROM made, orders_order t WHERE t.id = %(order)s
)
INSERT INTO orders_fulfilment (id, order_id, item_id, service_id, action, provider_id, connection_id, state, attempts,
    error, next_at, created_at, done_at)
SELECT service_id, order_id, item_id, service_id, 'provision', %(provider)s, %(connection)s,
    CASE WHEN NOT hangs THEN 'done' WHEN n %% 3 = 0 THEN 'retry' ELSE 'needs_staff' END, 1, '',
    CASE WHEN hangs AND n %% 3 = 0 THEN now() + interval '5 minutes' END, at, CASE WHEN NOT hangs THEN at END
FROM made
