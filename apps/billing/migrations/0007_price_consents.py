"""Who was told of a new price, asked, and what they answered."""

import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields
import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_arrangements"),
        ("catalog", "0005_lifecycle_offers_prices"),
    ]

    operations = [
        migrations.CreateModel(
            name="PriceConsent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("change_id", models.UUIDField(verbose_name="изменение цены")),
                ("old_price", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="было")),
                ("price", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="станет")),
                ("effective_date", models.DateField(verbose_name="с какого списания")),
                ("notice_date", models.DateField(verbose_name="извещён")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("notified", "Извещён"),
                            ("waiting", "Ждём согласия"),
                            ("given", "Согласен"),
                            ("refused", "Не согласен"),
                            ("lapsed", "Не ответил"),
                            ("void", "Не понадобилось"),
                        ],
                        max_length=10,
                        verbose_name="состояние",
                    ),
                ),
                ("answered_at", models.DateTimeField(blank=True, null=True, verbose_name="ответил")),
                ("ip", models.GenericIPAddressField(blank=True, null=True)),
                ("user_agent", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField(verbose_name="создано")),
                (
                    "phase",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.subscriptionphase",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="price_consents",
                        to="billing.subscription",
                        verbose_name="подписка",
                    ),
                ),
                (
                    "tariff_version",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="catalog.tariffversion",
                        verbose_name="новая редакция",
                    ),
                ),
            ],
            options={
                "verbose_name": "согласие с ценой",
                "verbose_name_plural": "согласия с ценой",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("change_id"), models.F("subscription"), name="billing_consent_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["waiting", "refused", "lapsed"]), _negated=True),
                            ("phase", None),
                            _connector="OR",
                        ),
                        name="billing_consent_before_phase",
                    ),
                ],
            },
        ),
    ]
