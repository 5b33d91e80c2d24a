import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_one_index_a_text")]

    operations = [
        migrations.CreateModel(
            name="Company",
            fields=[
                (
                    "customer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="company",
                        serialize=False,
                        to="accounts.customer",
                        verbose_name="клиент",
                    ),
                ),
                ("name", models.CharField(max_length=200, verbose_name="юридическое название")),
                ("inn", models.CharField(max_length=12, verbose_name="ИНН")),
                ("kpp", models.CharField(blank=True, max_length=9, verbose_name="КПП")),
                ("address", models.CharField(max_length=300, verbose_name="юридический адрес")),
                ("documents_email", models.EmailField(max_length=254, verbose_name="почта для документов")),
                (
                    "pay_days",
                    models.PositiveSmallIntegerField(default=10, verbose_name="срок оплаты счёта, дней"),
                ),
                (
                    "days_ahead",
                    models.PositiveSmallIntegerField(
                        default=14, verbose_name="счёт за сколько дней до периода"
                    ),
                ),
                (
                    "acts",
                    models.CharField(
                        choices=[
                            ("period", "в конце каждого периода"),
                            ("month", "в конце каждого месяца"),
                        ],
                        default="period",
                        max_length=6,
                        verbose_name="акты",
                    ),
                ),
            ],
            options={
                "verbose_name": "организация",
                "verbose_name_plural": "организации",
            },
        ),
    ]
