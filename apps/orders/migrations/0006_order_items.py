"""An order has items; what is of one product moves there (0007), and leaves the order (0008)."""

import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields
import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_wants_documents"),
        ("billing", "0015_partner_service"),
        ("catalog", "0009_offer_hold_first"),
        ("connectors", "0005_store"),
        ("orders", "0005_inventory_states"),
        ("partners", "0005_clawback_days"),
        ("providers", "0003_receipts"),
    ]

    operations = [
        migrations.CreateModel(
            name="OrderItem",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=1, verbose_name="позиция")),
                (
                    "action",
                    models.CharField(
                        choices=[("add", "Подключить"), ("modify", "Изменить"), ("delete", "Отключить")],
                        default="add",
                        max_length=6,
                        verbose_name="что сделать",
                    ),
                ),
                ("name", models.CharField(max_length=300, verbose_name="что заказано")),
                ("quantity", models.PositiveSmallIntegerField(default=1, verbose_name="количество")),
                ("price", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="цена")),
                ("total", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="сумма")),
                ("terms", models.JSONField(blank=True, default=dict, verbose_name="условия на день продажи")),
                ("answers_text", apps.core.fields.EncryptedField(blank=True, verbose_name="ответы клиента")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Черновик"),
                            ("acknowledged", "Принят"),
                            ("pending", "Ожидает"),
                            ("held", "Отложен"),
                            ("in_progress", "Исполняется"),
                            ("assessing_cancellation", "Отмена рассматривается"),
                            ("pending_cancellation", "Отменяется"),
                            ("completed", "Исполнен"),
                            ("partial", "Исполнен частично"),
                            ("failed", "Не исполнен"),
                            ("rejected", "Отклонён"),
                            ("cancelled", "Отменён"),
                        ],
                        default="acknowledged",
                        max_length=24,
                        verbose_name="состояние",
                    ),
                ),
            ],
            options={
                "verbose_name": "позиция заказа",
                "verbose_name_plural": "позиции заказов",
                "ordering": ["order_id", "position"],
            },
        ),
        migrations.AddField(
            model_name="order",
            name="cancels",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="cancellations",
                to="orders.order",
                verbose_name="отменяет",
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="kind",
            field=models.CharField(
                choices=[("new", "Покупка"), ("change", "Изменение"), ("cancel", "Отмена")],
                db_default="new",
                default="new",
                max_length=6,
                verbose_name="вид",
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="scheduled_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="исполнить не раньше"),
        ),
        migrations.AlterField(
            model_name="history",
            name="became",
            field=models.CharField(max_length=24, verbose_name="стало"),
        ),
        migrations.AlterField(
            model_name="history",
            name="was",
            field=models.CharField(blank=True, max_length=24, verbose_name="было"),
        ),
        migrations.AlterField(
            model_name="order",
            name="state",
            field=models.CharField(
                choices=[
                    ("draft", "Черновик"),
                    ("acknowledged", "Принят"),
                    ("pending", "Ожидает"),
                    ("held", "Отложен"),
                    ("in_progress", "Исполняется"),
                    ("assessing_cancellation", "Отмена рассматривается"),
                    ("pending_cancellation", "Отменяется"),
                    ("completed", "Исполнен"),
                    ("partial", "Исполнен частично"),
                    ("failed", "Не исполнен"),
                    ("rejected", "Отклонён"),
                    ("cancelled", "Отменён"),
                ],
                default="acknowledged",
                max_length=24,
                verbose_name="состояние",
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                models.F("cancels"),
                condition=models.Q(("cancels__isnull", False)),
                name="orders_order_cancels",
            ),
        ),
        migrations.AddField(
            model_name="orderitem",
            name="offer",
            field=apps.core.fields.PublicReference(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="catalog.offer",
                verbose_name="предложение",
            ),
        ),
        migrations.AddField(
            model_name="orderitem",
            name="order",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="items",
                to="orders.order",
                verbose_name="заказ",
            ),
        ),
        migrations.AddField(
            model_name="orderitem",
            name="product",
            field=apps.core.fields.PublicReference(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="catalog.product",
                verbose_name="продукт",
            ),
        ),
        migrations.AddField(
            model_name="orderitem",
            name="subscription",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="order_items",
                to="billing.subscription",
                verbose_name="подписка",
            ),
        ),
        migrations.AddField(
            model_name="orderitem",
            name="tariff_version",
            field=apps.core.fields.PublicReference(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="catalog.tariffversion",
                verbose_name="редакция тарифа",
            ),
        ),
        migrations.AddField(
            model_name="fulfilment",
            name="item",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="fulfilments",
                to="orders.orderitem",
                verbose_name="позиция",
            ),
        ),
        migrations.AddIndex(
            model_name="fulfilment",
            index=models.Index(
                models.F("item"), condition=models.Q(("item__isnull", False)), name="orders_fulfilment_item"
            ),
        ),
        migrations.AddIndex(
            model_name="orderitem",
            index=models.Index(
                models.F("subscription"),
                condition=models.Q(("action", "add"), _negated=True),
                name="orders_item_changes",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderitem",
            constraint=models.UniqueConstraint(
                models.F("order"), models.F("position"), name="orders_item_position"
            ),
        ),
        migrations.AddConstraint(
            model_name="orderitem",
            constraint=models.UniqueConstraint(
                models.F("subscription"), condition=models.Q(("action", "add")), name="orders_item_begins"
            ),
        ),
        migrations.AddConstraint(
            model_name="orderitem",
            constraint=models.CheckConstraint(
                condition=models.Q(("quantity__gt", 0)), name="orders_item_quantity"
            ),
        ),
    ]
