"""The first payment of an offer may be held, and taken when the product is delivered."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0008_payer_by_invoice")]

    operations = [
        migrations.AddField(
            "offer",
            "hold_first",
            models.BooleanField(
                db_default=False,
                default=False,
                help_text=(
                    "Первый платёж удерживается и списывается, когда товар выдан; не выдан — деньги вернутся. "
                    "Только картой, у шлюзов с двухстадийной оплатой"
                ),
                verbose_name="сначала удержать",
            ),
        ),
    ]
