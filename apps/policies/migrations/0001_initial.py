"""The app's tables."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("partners", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="MessageTemplate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("type", models.CharField(max_length=40, verbose_name="сообщение")),
                (
                    "channel",
                    models.CharField(
                        choices=[("email", "письмо"), ("sms", "СМС")], max_length=10, verbose_name="канал"
                    ),
                ),
                ("language", models.CharField(default="ru", max_length=2, verbose_name="язык")),
                ("subject", models.CharField(blank=True, max_length=200, verbose_name="тема")),
                ("body_text", models.TextField(verbose_name="текст")),
                ("body_html", models.TextField(blank=True, verbose_name="письмо в HTML")),
                ("is_active", models.BooleanField(default=True, verbose_name="используется")),
            ],
            options={
                "verbose_name": "шаблон сообщения",
                "verbose_name_plural": "шаблоны",
                "ordering": ["type", "channel", "language"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("type", "channel", "language"), name="policies_messagetemplate_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="VatRate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=20, verbose_name="код")),
                ("name", models.CharField(max_length=60, verbose_name="название")),
                (
                    "percent",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="Пусто: без НДС",
                        max_digits=5,
                        null=True,
                        verbose_name="ставка, %",
                    ),
                ),
                ("valid_from", models.DateField(verbose_name="действует с")),
            ],
            options={
                "verbose_name": "ставка НДС",
                "verbose_name_plural": "ставки НДС",
                "ordering": ["code", "-valid_from"],
                "constraints": [
                    models.UniqueConstraint(fields=("code", "valid_from"), name="policies_vatrate_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="NumberSequence",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=20, verbose_name="вид документа")),
                ("year", models.PositiveSmallIntegerField(verbose_name="год")),
                ("last", models.PositiveIntegerField(default=0, verbose_name="последний номер")),
                (
                    "legal_entity",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.legalentity",
                        verbose_name="юридическое лицо",
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.partner",
                        verbose_name="партнёр",
                    ),
                ),
            ],
            options={
                "verbose_name": "нумерация",
                "verbose_name_plural": "реквизиты и нумерация",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("partner", "kind", "legal_entity", "year"),
                        name="policies_sequence_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
    ]
