"""Tables of providers and keys."""

import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("connectors", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Provider",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.SlugField(max_length=60, unique=True, verbose_name="код")),
                ("name", models.CharField(max_length=120, unique=True, verbose_name="название")),
                ("contact", models.CharField(blank=True, max_length=200, verbose_name="контакт")),
                ("is_archived", models.BooleanField(default=False, verbose_name="в архиве")),
                (
                    "connection",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="connectors.connection",
                        verbose_name="подключение",
                    ),
                ),
                (
                    "test_connection",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="connectors.connection",
                        verbose_name="подключение для песочницы",
                    ),
                ),
            ],
            options={
                "verbose_name": "поставщик",
                "verbose_name_plural": "поставщики",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="KeyPool",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sku", models.CharField(max_length=60, verbose_name="код тарифа")),
                ("is_test", models.BooleanField(default=False, verbose_name="для песочницы")),
                (
                    "low_stock",
                    models.PositiveIntegerField(
                        default=20, help_text="ключей и меньше", verbose_name="предупредить, когда осталось"
                    ),
                ),
                (
                    "renewal",
                    models.CharField(
                        choices=[
                            ("new_key", "новый ключ на каждый период"),
                            ("same_key", "прежний ключ действует, пока оплачено"),
                        ],
                        default="new_key",
                        max_length=10,
                        verbose_name="при продлении",
                    ),
                ),
                (
                    "instructions",
                    apps.core.fields.TranslatedField(blank=True, verbose_name="как активировать"),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="key_pools",
                        to="providers.provider",
                        verbose_name="поставщик",
                    ),
                ),
            ],
            options={
                "verbose_name": "пул ключей",
                "verbose_name_plural": "пулы ключей",
                "ordering": ["sku", "is_test"],
            },
        ),
        migrations.CreateModel(
            name="ActivationKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("value", apps.core.fields.EncryptedField(verbose_name="ключ")),
                ("fingerprint", models.BinaryField(max_length=32, unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("free", "Свободен"), ("sold", "Выдан"), ("revoked", "Отозван")],
                        default="free",
                        max_length=8,
                        verbose_name="состояние",
                    ),
                ),
                ("request_id", models.UUIDField(null=True, unique=True, verbose_name="запрос")),
                ("partner_id", models.BigIntegerField(null=True, verbose_name="партнёр")),
                ("loaded_at", models.DateTimeField(verbose_name="загружен")),
                ("sold_at", models.DateTimeField(null=True, verbose_name="выдан")),
                (
                    "pool",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="keys",
                        to="providers.keypool",
                        verbose_name="пул",
                    ),
                ),
            ],
            options={
                "verbose_name": "ключ активации",
                "verbose_name_plural": "ключи активации",
                "ordering": ["id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "free")),
                        fields=["pool", "id"],
                        name="providers_key_free",
                    ),
                    models.Index(fields=["pool", "-id"], name="providers_key_pool"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("request_id", None), ("sold_at", None), ("state", "free")),
                            models.Q(
                                ("request_id__isnull", False),
                                ("sold_at__isnull", False),
                                ("state__in", ["sold", "revoked"]),
                            ),
                            _connector="OR",
                        ),
                        name="providers_key_sold_to_one",
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="keypool",
            constraint=models.UniqueConstraint(
                models.F("sku"), models.F("is_test"), name="providers_keypool_once"
            ),
        ),
    ]
