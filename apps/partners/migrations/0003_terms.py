"""Terms of a partner: a fixed sum, of what is left after the gateway's fee, when it is owed, what goes back."""

from decimal import Decimal

from django.db import migrations, models

CHECK = "partners_terms_share_percent"


class Migration(migrations.Migration):
    dependencies = [("partners", "0002_kept")]

    operations = [
        migrations.AddField(
            model_name="contractterms",
            name="clawback",
            field=models.BooleanField(
                default=True,
                help_text="Вернули клиенту часть денег — вознаграждение уменьшается на ту же долю",
                verbose_name="удерживается при возврате",
            ),
        ),
        migrations.AddField(
            model_name="contractterms",
            name="earned_on",
            field=models.CharField(
                choices=[
                    ("payment", "когда клиент оплатил"),
                    ("service", "когда услуга оказана: в конце оплаченного периода"),
                ],
                default="payment",
                max_length=10,
                verbose_name="начисляется",
            ),
        ),
        migrations.AddField(
            model_name="contractterms",
            name="share_fixed",
            field=models.DecimalField(
                decimal_places=2,
                default=Decimal("0.00"),
                help_text="За оплаченный период одной штуки; за неполный — пропорционально",
                max_digits=14,
                verbose_name="и твёрдая сумма",
            ),
        ),
        migrations.AlterField(
            model_name="contractterms",
            name="share_base",
            field=models.CharField(
                choices=[
                    ("gross", "от оборота с НДС"),
                    ("net", "от оборота без НДС"),
                    ("fee", "от оборота без НДС и комиссии шлюза"),
                ],
                default="net",
                max_length=5,
                verbose_name="база",
            ),
        ),
        migrations.RemoveConstraint(model_name="contractterms", name=CHECK),
        migrations.AddConstraint(
            model_name="contractterms",
            constraint=models.CheckConstraint(
                condition=models.Q(share_percent__range=(0, 100), share_fixed__gte=0),
                name=CHECK,
                violation_error_message="Процент: от 0 до 100, сумма: не меньше нуля",
            ),
        ),
    ]
