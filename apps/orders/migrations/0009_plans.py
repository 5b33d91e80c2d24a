"""Plans: tasks of a fulfilment with what people wrote and filed; promises, and why one failed."""

import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields
import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0011_plans"),
        ("orders", "0008_order_is_header"),
    ]

    operations = [
        migrations.AddField(
            model_name="fulfilment",
            name="failed_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="признано неисполнимым"),
        ),
        migrations.AddField(
            model_name="fulfilment",
            name="failure",
            field=models.CharField(
                blank=True, db_default="", max_length=500, verbose_name="почему не исполнено"
            ),
        ),
        migrations.AddField(
            model_name="fulfilment",
            name="jeopardy_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="под угрозой срока с"),
        ),
        migrations.AddField(
            model_name="fulfilment",
            name="promised_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="обещано к"),
        ),
        migrations.AddField(
            model_name="fulfilment",
            name="step",
            field=models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="шаг"),
        ),
        migrations.AlterField(
            model_name="fulfilment",
            name="state",
            field=models.CharField(
                choices=[
                    ("queued", "В очереди"),
                    ("in_progress", "У поставщика"),
                    ("retry", "Повтор"),
                    ("unknown", "Ответа нет, уточняем"),
                    ("done", "Выдано"),
                    ("needs_staff", "Нужен сотрудник"),
                    ("revoked", "Отозвано"),
                    ("held", "Отложено"),
                    ("info_needed", "Нужны данные"),
                    ("compensating", "Отменяется"),
                    ("failed", "Не исполнено"),
                ],
                default="queued",
                max_length=12,
                verbose_name="состояние",
            ),
        ),
        migrations.CreateModel(
            name="Task",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
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
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Впереди"),
                            ("active", "Выполняется"),
                            ("waiting", "Ждёт"),
                            ("done", "Сделано"),
                            ("failed", "Не сделано"),
                            ("skipped", "Пропущено"),
                            ("compensating", "Отменяется"),
                            ("compensated", "Отменено"),
                        ],
                        default="pending",
                        max_length=12,
                        verbose_name="состояние",
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="попыток")),
                ("owner", models.CharField(blank=True, max_length=150, verbose_name="кто взял")),
                ("error", models.CharField(blank=True, max_length=500, verbose_name="ошибка")),
                ("deadline_at", models.DateTimeField(blank=True, null=True, verbose_name="срок")),
                ("started_at", models.DateTimeField(blank=True, null=True, verbose_name="начато")),
                ("claimed_at", models.DateTimeField(blank=True, null=True, verbose_name="взято")),
                ("done_at", models.DateTimeField(blank=True, null=True, verbose_name="закончено")),
                (
                    "fulfilment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tasks",
                        to="orders.fulfilment",
                        verbose_name="исполнение",
                    ),
                ),
                (
                    "step",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="catalog.planstep",
                        verbose_name="шаг плана",
                    ),
                ),
            ],
            options={
                "verbose_name": "задача исполнения",
                "verbose_name_plural": "задачи исполнения",
                "ordering": ["fulfilment", "position"],
            },
        ),
        migrations.CreateModel(
            name="TaskNote",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField(verbose_name="когда")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто")),
                ("text", models.CharField(blank=True, max_length=2000, verbose_name="комментарий")),
                ("content", models.BinaryField(null=True, verbose_name="содержание")),
                ("file_name", models.CharField(blank=True, max_length=120, verbose_name="файл")),
                ("file_type", models.CharField(blank=True, max_length=40, verbose_name="тип файла")),
                ("sha256", models.CharField(blank=True, max_length=64, verbose_name="SHA-256")),
                (
                    "fulfilment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notes",
                        to="orders.fulfilment",
                        verbose_name="исполнение",
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notes",
                        to="orders.task",
                        verbose_name="задача",
                    ),
                ),
            ],
            options={
                "verbose_name": "запись по исполнению",
                "verbose_name_plural": "записи по исполнению",
                "ordering": ["id"],
            },
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                models.F("deadline_at"),
                condition=models.Q(("state__in", ["active", "compensating", "waiting"])),
                name="orders_task_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.UniqueConstraint(
                models.F("fulfilment"), models.F("position"), name="orders_task_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.UniqueConstraint(
                models.F("fulfilment"),
                condition=models.Q(("state__in", ["active", "waiting"])),
                name="orders_task_one_at_a_time",
            ),
        ),
    ]
