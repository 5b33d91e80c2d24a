"""What was sent back of customers' balances: written once; only that the money came back is noted later."""

import django.db.models.deletion
from django.db import migrations, models

import apps.core.ids

KEPT = """
CREATE FUNCTION billing_keep_payout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.returned_at IS NULL
        AND to_jsonb(NEW) - 'returned_at' = to_jsonb(OLD) - 'returned_at' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Payout % is made: % is refused', OLD.id, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("billing", "0013_imports"),
        ("payments", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="BalancePayout",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("amount", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="сумма")),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("reason", models.CharField(max_length=200, verbose_name="причина")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто вернул")),
                ("created_at", models.DateTimeField(verbose_name="создана")),
                (
                    "returned_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="вернулась на баланс"),
                ),
                ("key", models.CharField(max_length=100, verbose_name="ключ")),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="balance_payouts",
                        to="accounts.customer",
                        verbose_name="клиент",
                    ),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.payment",
                        verbose_name="платёж",
                    ),
                ),
            ],
            options={
                "verbose_name": "выплата с баланса",
                "verbose_name_plural": "выплаты с баланса",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(models.F("key"), models.F("payment"), name="billing_payout_once"),
                    models.CheckConstraint(
                        condition=models.Q(("amount__gt", 0)), name="billing_payout_amount"
                    ),
                ],
            },
        ),
        migrations.RunSQL(KEPT, "DROP FUNCTION billing_keep_payout()"),
        migrations.RunSQL(
            "CREATE TRIGGER billing_payout_made BEFORE UPDATE OR DELETE ON billing_balancepayout"
            " FOR EACH ROW EXECUTE FUNCTION billing_keep_payout()",
            "DROP TRIGGER billing_payout_made ON billing_balancepayout",
        ),
        migrations.RunSQL(
            "CREATE TRIGGER billing_balancepayout_kept BEFORE TRUNCATE ON billing_balancepayout"
            " FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change()",
            "DROP TRIGGER billing_balancepayout_kept ON billing_balancepayout",
        ),
    ]
