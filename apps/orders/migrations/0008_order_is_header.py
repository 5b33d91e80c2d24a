"""What is of one product stands in the items alone."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0007_items_of_orders"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="order",
            name="orders_order_quantity",
        ),
        migrations.RemoveField(
            model_name="order",
            name="answers_text",
        ),
        migrations.RemoveField(
            model_name="order",
            name="name",
        ),
        migrations.RemoveField(
            model_name="order",
            name="offer",
        ),
        migrations.RemoveField(
            model_name="order",
            name="price",
        ),
        migrations.RemoveField(
            model_name="order",
            name="product",
        ),
        migrations.RemoveField(
            model_name="order",
            name="quantity",
        ),
        migrations.RemoveField(
            model_name="order",
            name="subscription",
        ),
        migrations.RemoveField(
            model_name="order",
            name="tariff_version",
        ),
        migrations.RemoveField(
            model_name="order",
            name="terms",
        ),
    ]
