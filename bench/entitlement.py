"""The bench of a provider's question whether somebody has the right: the whole request, beside two bare look-ups.

A million services of ten providers lie in the table. The aim is 10 ms for 95 of a hundred.
"""

import itertools
import uuid

from django.db import connection
from django.test import Client

from apps.core.tenancy import in_public
from apps.providers.models import Provider
from apps.providers.portal.models import ProviderKey
from bench.measure import in_turn, timed

COUNT, EACH = 1_000_000, 200
_FILL = """
INSERT INTO providers_entitlement (service_id, partner_id, provider_id, request_id, customer_id, key_digest, state,
    active_until, version, changed_at)
SELECT md5('s' || n)::uuid, n %% 50, %s + n %% 10, md5('r' || n)::uuid, md5('c' || n)::uuid,
    sha256(convert_to('k' || n, 'UTF8')), 'active', current_date + 30, 1, now()
FROM generate_series(1, %s) n
"""
_ONE = "SELECT * FROM providers_entitlement WHERE service_id = %s"


def entitlement() -> dict[str, float]:
    """Answers by service id over a million rows."""
    with in_public():
        provider = Provider.objects.create(code="bench-rights", name="Права")
        _key, text = ProviderKey.issue(provider)
        with connection.cursor() as cursor:
            cursor.execute(_FILL, [provider.pk, COUNT])
            cursor.execute("VACUUM (ANALYZE) providers_entitlement")
            cursor.execute(
                "SELECT service_id FROM providers_entitlement WHERE provider_id = %s LIMIT 20000",
                [provider.pk],
            )
            keys = itertools.cycle([row[0] for row in cursor.fetchall()])
    client = Client(SERVER_NAME="localhost", headers={"Authorization": f"Bearer {text}"})

    def one(key: uuid.UUID) -> None:
        answer = client.get("/provider/api/v1/entitlements/", {"service": key})
        assert answer.status_code == 200
        assert answer.json()["entitled"]

    def ours() -> None:
        for _time in range(EACH):
            one(next(keys))

    def floor() -> None:
        with connection.cursor() as cursor:
            for _time in range(EACH):
                cursor.execute("SELECT 1 FROM providers_providerkey WHERE prefix = %s", [text[6:16]])
                cursor.execute(_ONE, [next(keys)])
                cursor.fetchall()

    found = in_turn(ours, floor, rounds=5, each=EACH)
    each = sorted(timed(lambda: one(next(keys))) for _time in range(1000))
    return {**found, "p95_seconds": each[949]}
