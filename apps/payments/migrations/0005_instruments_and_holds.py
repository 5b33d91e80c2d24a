"""What a customer pays with, money held first, and methods saved without a payment."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_wants_documents"),
        ("connectors", "0002_kept"),
        ("payments", "0004_receipts"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="payment",
            name="payments_payment_amount",
        ),
        migrations.AddField(
            model_name="payment",
            name="capture_amount",
            field=models.DecimalField(
                blank=True, decimal_places=2, max_digits=14, null=True, verbose_name="сколько списать"
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="instrument",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=20, verbose_name="чем платят"
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="is_two_stage",
            field=models.BooleanField(db_default=False, default=False, verbose_name="сначала удержать"),
        ),
        migrations.AddField(
            model_name="payment",
            name="link_key",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=100),
        ),
        migrations.AddField(
            model_name="payment",
            name="second_stage",
            field=models.CharField(
                blank=True,
                choices=[("capture", "списать"), ("release", "отпустить")],
                db_default="",
                default="",
                max_length=10,
                verbose_name="решение",
            ),
        ),
        migrations.AddField(
            model_name="paymentmethod",
            name="instrument",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                max_length=20,
                verbose_name="чем платят",
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="state",
            field=models.CharField(
                choices=[
                    ("created", "Создан"),
                    ("sending", "Отправляется"),
                    ("pending", "Ждёт клиента"),
                    ("unknown", "Выясняется"),
                    ("authorized", "Деньги удержаны"),
                    ("succeeded", "Оплачен"),
                    ("failed", "Отклонён банком"),
                    ("refunded", "Возвращён"),
                ],
                default="created",
                max_length=10,
                verbose_name="состояние",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount__gt", 0),
                    models.Q(("amount", 0), ("purpose", "binding"), ("save_method", True)),
                    _connector="OR",
                ),
                name="payments_payment_amount",
            ),
        ),
    ]
