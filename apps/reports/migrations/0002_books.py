"""The trial balance and a partner's account, as pages need models."""

from django.db import migrations


def _proxy(name: str, words: str) -> migrations.CreateModel:
    options = {
        "verbose_name": words,
        "verbose_name_plural": words,
        "proxy": True,
        "indexes": [],
        "constraints": [],
    }
    return migrations.CreateModel(name=name, fields=[], options=options, bases=("ledger.transfer",))


class Migration(migrations.Migration):
    dependencies = [("ledger", "0006_agency"), ("reports", "0001_initial")]

    operations = [
        _proxy("TrialBalance", "оборотно-сальдовая ведомость"),
        _proxy("PartnerStatement", "взаиморасчёты с партнёрами"),
    ]
