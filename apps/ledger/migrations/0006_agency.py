"""The account of an agent: what its customers owe and pay is a principal's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0005_closed_books")]

    operations = [
        migrations.AlterField(
            model_name="transfer",
            name="credit",
            field=models.CharField(
                choices=[
                    ("receivable", "Расчёты с клиентами"),
                    ("clearing", "Деньги у шлюза"),
                    ("bank", "Расчётный счёт"),
                    ("advances", "Авансы клиентов"),
                    ("deferred", "Доходы будущих периодов"),
                    ("revenue", "Выручка"),
                    ("vat", "НДС"),
                    ("fee", "Комиссия шлюза"),
                    ("refund", "Возвраты клиентам"),
                    ("partner_share", "Вознаграждение партнёров"),
                    ("partner_payable", "Расчёты с партнёрами"),
                    ("provider_cost", "Себестоимость"),
                    ("provider_payable", "Расчёты с поставщиками"),
                    ("agency", "Деньги принципалов"),
                    ("write_off", "Списания"),
                ],
                max_length=20,
                verbose_name="кредит",
            ),
        ),
        migrations.AlterField(
            model_name="transfer",
            name="debit",
            field=models.CharField(
                choices=[
                    ("receivable", "Расчёты с клиентами"),
                    ("clearing", "Деньги у шлюза"),
                    ("bank", "Расчётный счёт"),
                    ("advances", "Авансы клиентов"),
                    ("deferred", "Доходы будущих периодов"),
                    ("revenue", "Выручка"),
                    ("vat", "НДС"),
                    ("fee", "Комиссия шлюза"),
                    ("refund", "Возвраты клиентам"),
                    ("partner_share", "Вознаграждение партнёров"),
                    ("partner_payable", "Расчёты с партнёрами"),
                    ("provider_cost", "Себестоимость"),
                    ("provider_payable", "Расчёты с поставщиками"),
                    ("agency", "Деньги принципалов"),
                    ("write_off", "Списания"),
                ],
                max_length=20,
                verbose_name="дебет",
            ),
        ),
    ]
