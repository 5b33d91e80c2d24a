"""Each order there is becomes a header with one item; states get TMF622's names, in their history as well."""

from django.db import migrations

ITEMS = """
INSERT INTO orders_orderitem (id, order_id, position, action, offer_id, product_id, tariff_version_id, name, quantity,
    price, total, terms, answers_text, subscription_id, state)
SELECT gen_random_uuid(), id, 1, 'add', offer_id, product_id, tariff_version_id, name, quantity,
    price, total, terms, answers_text, subscription_id, state
FROM orders_order
"""
FULFILMENTS = """
UPDATE orders_fulfilment AS f SET item_id = i.id FROM orders_orderitem AS i WHERE i.order_id = f.order_id
"""
NAMES = {"accepted": "acknowledged", "awaiting_payment": "pending", "done": "completed"}


def renamed(table: str, column: str, names: dict[str, str], of_orders: str = "") -> str:
    """A statement that gives states their other names."""
    cases = " ".join(f"WHEN '{was}' THEN '{becomes}'" for was, becomes in names.items())
    known = ", ".join(f"'{was}'" for was in names)
    return (
        f"UPDATE {table} SET {column} = CASE {column} {cases} END "  # noqa: S608
        f"WHERE {column} IN ({known}){of_orders}"
    )


# Fulfilments have a state «done» too: theirs stays.
OF_ORDERS = " AND EXISTS (SELECT 1 FROM orders_order o WHERE o.id = orders_history.object_id)"
PLACES = [
    ("orders_order", "state", ""),
    ("orders_orderitem", "state", ""),
    ("orders_history", "was", OF_ORDERS),
    ("orders_history", "became", OF_ORDERS),
]


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0006_order_items"),
    ]

    operations = [
        migrations.RunSQL(ITEMS),
        migrations.RunSQL(FULFILMENTS),
        *(migrations.RunSQL(renamed(table, column, NAMES, of)) for table, column, of in PLACES),
    ]
