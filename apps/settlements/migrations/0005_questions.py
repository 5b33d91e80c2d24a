from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("settlements", "0004_provider_answers"),
    ]

    operations = [
        migrations.AddField(
            model_name="provideranswer",
            name="partner_id",
            field=models.BigIntegerField(null=True, verbose_name="партнёр"),
        ),
        migrations.AddField(
            model_name="provideranswer",
            name="service_id",
            field=models.UUIDField(null=True, verbose_name="номер услуги"),
        ),
        migrations.AddField(
            model_name="provideranswer",
            name="is_answered",
            field=models.BooleanField(db_default=False, default=False, verbose_name="отвечено"),
        ),
        migrations.AlterField(
            model_name="provideranswer",
            name="is_on",
            field=models.BooleanField(null=True, verbose_name="подключена"),
        ),
        # Until now only what was answered stood there.
        migrations.RunSQL("UPDATE settlements_provideranswer SET is_answered = true", migrations.RunSQL.noop),
    ]
