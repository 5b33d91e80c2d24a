"""A live partner in an installation whose many subscriptions are due for renewal: `-m tests.installed_base SLUG COUNT`.

Prints JSON: slug, schema, partner (id), and what the auditor finds before anything is renewed. One customer has
really bought and saved a card; all others are copies of them, each with a method of their own.
"""

import json
import os
import sys
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from apps.billing.models import Subscription, SubscriptionPhase  # noqa: E402
from apps.billing.proration import add_months  # noqa: E402
from apps.core import audit, clock  # noqa: E402
from apps.core.tenancy import in_partner  # noqa: E402
from apps.demo.history import Past  # noqa: E402
from apps.partners.models import Partner  # noqa: E402
from apps.sandbox.control import Control  # noqa: E402
from bench.renewals import SQL, _columns  # noqa: E402
from tests import installed_shop  # noqa: E402
from tests.installed_shop import LONG_AGO  # noqa: E402


def main(slug: str, count: int) -> dict[str, Any]:
    """Makes the partner, sells once, and copies what was sold."""
    partner = installed_shop.new_partner(slug)
    installed_shop.connect(partner, gateway := Control(settings.SANDBOX_URLS["yookassa"]))
    with in_partner(partner):
        offers = [installed_shop._offer(partner, number) for number in range(3)]
        sold = installed_shop._sell(Past(partner, clock.wall() - LONG_AGO), gateway, offers[0])
        installed_shop._arrive(partner, [sold])
        _copy(partner, sold, count, extra=_columns(offers[2]), dear=_columns(offers[1]))
    found = sorted({f"{one.rule}: {one.text}" for one in audit.run([partner.pk])})
    return {"slug": slug, "schema": partner.schema_name, "partner": partner.pk, "known": found}


def _copy(partner: Partner, sold: Subscription, count: int, **columns: str) -> None:
    today = clock.today()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            SQL["renewal_fill"],
            {
                "customer": sold.customer_id,
                "method": sold.method_id,
                "subscription": sold.pk,
                "phase": SubscriptionPhase.objects.filter(subscription=sold, kind="regular")[0].pk,
                "count": count,
                "partner": partner.pk,
                "today": today,
                "anchor": add_months(today, -1, today.day),
                **columns,
            },
        )
        cursor.execute("UPDATE accounts_customer SET email = replace(email, '@client', '-client')")


if __name__ == "__main__":
    json.dump(main(sys.argv[1], int(sys.argv[2])), sys.stdout)
