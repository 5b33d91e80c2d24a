"""Terms may say how long after the payment a refund takes the share back."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("partners", "0004_books")]

    operations = [
        migrations.AddField(
            model_name="contractterms",
            name="clawback_days",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text=(
                    "Если клиенту вернули деньги позже, вознаграждение остаётся партнёру, убыток несёт платформа. "
                    "Пусто — срока нет"
                ),
                null=True,
                verbose_name="удерживается, дней после оплаты",
            ),
        ),
    ]
