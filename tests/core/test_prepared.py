"""A query that is made once gives what its queryset gives, to each thread and partner its own."""

from threading import Thread

from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.channels.models import ApiKey, Channel
from apps.core.prepared import Prepared, given
from apps.core.tenancy import in_partner
from apps.partners.models import Domain, Partner
from tests.conftest import make_partner

BY_HOST = Prepared(
    lambda: Domain.objects.select_related("tenant__legal_entity").filter(domain=given("host"))[:1]
)
KEYS = Prepared(lambda: ApiKey.objects.select_related("channel").filter(prefix=given("prefix")))


def test_it_gives_what_its_queryset_gives(partner: Partner) -> None:
    host = partner.host
    expected = Domain.objects.select_related("tenant__legal_entity").get(domain=host)
    with CaptureQueriesContext(connection) as made:
        found = BY_HOST.first(host=host)
        assert found is not None
        assert (found.tenant.legal_entity.pk, found._state.adding) == (expected.tenant.legal_entity.pk, False)
    assert len(made) == 1
    for one, other in (
        (found, expected),
        (found.tenant, expected.tenant),
        (found.tenant.legal_entity, expected.tenant.legal_entity),
    ):
        assert {name: value for name, value in vars(one).items() if name != "_state"} == {
            name: value for name, value in vars(other).items() if name != "_state"
        }
    assert BY_HOST.first(host="nobody.example") is None
    assert BY_HOST.first(host="x' OR 'a'='a") is None


def test_each_thread_and_partner_asks_for_its_own(partner: Partner) -> None:
    key, _text = ApiKey.issue(Channel.objects.get(code="api"), ["orders:read"])
    found: list[list[ApiKey]] = []

    def ask(whose: Partner) -> None:
        try:
            with in_partner(whose):
                found.append(KEYS.all(prefix=key.prefix))
        finally:
            connection.close()

    other = make_partner()
    for whose in (other, partner):
        thread = Thread(target=ask, args=(whose,))
        thread.start()
        thread.join()
    assert [[one.pk for one in keys] for keys in found] == [[], [key.pk]]
    assert (found[1][0].scopes, found[1][0].channel.code) == (["orders:read"], "api")
    # Who made it first has no part in it any more.
    assert [one.pk for one in KEYS.all(prefix=key.prefix)] == [key.pk]
