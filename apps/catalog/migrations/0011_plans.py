"""Plans of fulfilment; the database refuses to change one that was saved: orders refer to it."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields

FROZEN = """
CREATE TRIGGER catalog_planstep_frozen BEFORE UPDATE OR DELETE OR TRUNCATE ON catalog_planstep
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0010_sales_stops"),
        ("providers", "0004_open_request"),
    ]

    operations = [
        migrations.AddField(
            model_name="product",
            name="promised_minutes",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Обещание клиенту: прежде чем срок выйдет, дежурные узнают. Пусто: ничего не обещаем",
                null=True,
                verbose_name="выдаём за, минут",
            ),
        ),
        migrations.CreateModel(
            name="FulfilmentPlan",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(verbose_name="редакция")),
                ("created_at", models.DateTimeField(verbose_name="сохранён")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто")),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="plans",
                        to="catalog.product",
                        verbose_name="продукт",
                    ),
                ),
            ],
            options={
                "verbose_name": "план исполнения",
                "verbose_name_plural": "планы исполнения",
                "ordering": ["product", "-number"],
            },
        ),
        migrations.AddField(
            model_name="product",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="catalog.fulfilmentplan",
                verbose_name="план исполнения",
            ),
        ),
        migrations.CreateModel(
            name="PlanStep",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(verbose_name="порядок")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("provision", "Выдать у поставщика продукта"),
                            ("register", "Зарегистрировать у другого поставщика"),
                            ("manual", "Сделать вручную"),
                            ("wait", "Дождаться ответа снаружи"),
                            ("notify", "Написать клиенту"),
                        ],
                        max_length=10,
                        verbose_name="что делается",
                    ),
                ),
                ("name", apps.core.fields.TranslatedField(verbose_name="название")),
                ("text", apps.core.fields.TranslatedField(blank=True, verbose_name="текст")),
                (
                    "minutes",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(129600),
                        ],
                        verbose_name="срок, минут",
                    ),
                ),
                (
                    "duty",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("admin", "Администратор"),
                            ("manager", "Менеджер"),
                            ("support", "Поддержка"),
                            ("finance", "Финансы"),
                        ],
                        max_length=10,
                        verbose_name="дежурят",
                    ),
                ),
                (
                    "undo",
                    models.CharField(
                        choices=[
                            ("nothing", "Ничего"),
                            ("provider", "Отменить у поставщика"),
                            ("manual", "Задача сотруднику"),
                        ],
                        default="nothing",
                        max_length=10,
                        verbose_name="чем отменяется",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="steps",
                        to="catalog.fulfilmentplan",
                        verbose_name="план",
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="providers.provider",
                        verbose_name="поставщик",
                    ),
                ),
            ],
            options={
                "verbose_name": "шаг плана",
                "verbose_name_plural": "шаги плана",
                "ordering": ["plan", "position"],
            },
        ),
        migrations.AddConstraint(
            model_name="fulfilmentplan",
            constraint=models.UniqueConstraint(
                models.F("product"), models.F("number"), name="catalog_plan_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="planstep",
            constraint=models.UniqueConstraint(
                models.F("plan"), models.F("position"), name="catalog_planstep_once"
            ),
        ),
        migrations.RunSQL(FROZEN, "DROP TRIGGER catalog_planstep_frozen ON catalog_planstep"),
    ]
