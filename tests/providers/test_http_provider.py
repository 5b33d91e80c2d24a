"""The provider over HTTP, against its simulator: made once, unknown asked about, refusals told apart."""

from datetime import date
from types import SimpleNamespace
from uuid import uuid4

import pytest

from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core.tenancy import in_public
from apps.providers import services
from apps.providers.base import ProvisionRequest, Status
from apps.providers.models import Provider
from tests.providers import connector_for


@pytest.fixture
def connector(partner, provider_sim):
    """The connector of a product whose provider has a connection to the simulator."""
    with in_public():
        connection = Connection.objects.create(
            kind="provider",
            connector="apps.providers.http_provider.HttpProvider",
            name="Поставщик",
            config={"base_url": provider_sim.base_url, "token": "secret", "timeout": 60},
        )
        provider = services.ensure(f"Поставщик {uuid4()}")
        Provider.objects.filter(pk=provider.pk).update(connection=connection)
        provider.refresh_from_db()
    return connector_for(SimpleNamespace(delivery="account", provider=provider))


def asked() -> ProvisionRequest:
    return ProvisionRequest(uuid4(), "KINO-M", str(uuid4()), date(2027, 1, 1), {"ekranov": 2})


def error_of(act) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        act()
    return caught.value


def test_product_is_provided_extended_and_taken_back(connector):
    request = asked()
    assert connector.check()
    given = connector.provision(request)
    assert given.status == Status.ACTIVE
    assert all((given.key, given.url, given.instructions))
    assert connector.provision(request) == given == connector.fetch(request.request_id)
    extension = uuid4()
    for _ in range(2):
        longer = connector.extend(request.request_id, extension_id=extension, period_end=date(2027, 2, 1))
        assert longer == given
    for _ in range(2):
        assert connector.cancel(request.request_id).status == Status.CANCELED
    assert connector.fetch(request.request_id).status == Status.CANCELED
    late = error_of(
        lambda: connector.extend(request.request_id, extension_id=uuid4(), period_end=date(2027, 3, 1))
    )
    assert (late.code, late.retry, late.unknown) == ("not_active", False, False)
    assert connector.cancel(uuid4()).status == Status.CANCELED


def test_dropped_answer_is_unknown_and_fetch_settles_it(connector, provider_sim):
    request = asked()
    provider_sim.fault("drop_answer", match={"operation": "activate"})
    lost = error_of(lambda: connector.provision(request))
    assert (lost.unknown, lost.retry) == (True, False)
    settled = connector.fetch(request.request_id)
    assert settled.status == Status.ACTIVE
    made = [a for a in provider_sim.register()["activations"] if a["request_id"] == str(request.request_id)]
    assert [a["key"] for a in made] == [settled.key]
    never = asked()
    provider_sim.fault("http_500", match={"operation": "activate"})
    assert error_of(lambda: connector.provision(never)).unknown
    assert connector.fetch(never.request_id) is None
    assert connector.provision(never).status == Status.ACTIVE


def test_refusals_are_told_apart(connector, provider_sim):
    request = asked()
    provider_sim.fault("out_of_stock")
    empty = error_of(lambda: connector.provision(request))
    assert (empty.code, empty.retry, empty.unknown) == ("out_of_stock", True, False)
    provider_sim.fault("pending")
    assert connector.provision(request).status == Status.PENDING
    refused = asked()
    provider_sim.fault("refuse", reason="age_limit")
    final = error_of(lambda: connector.provision(refused))
    assert (final.code, final.retry, final.unknown) == ("age_limit", False, False)
    failed = asked()
    provider_sim.fault("failed", reason="blocked")
    final = error_of(lambda: connector.provision(failed))
    assert (final.code, final.retry, final.unknown) == ("blocked", False, False)
    assert error_of(lambda: connector.fetch(failed.request_id)).code == "blocked"
    provider_sim.switch(on=False)
    assert error_of(lambda: connector.provision(asked())).unknown
    provider_sim.switch(on=True)
    conflict = ProvisionRequest(request.request_id, "OTHER", request.customer_ref, request.period_end)
    assert error_of(lambda: connector.provision(conflict)).code == "request_conflict"


def test_staff_are_needed_where_nobody_else_can(connector, sandbox_partner):
    provider = SimpleNamespace(connection=None, test_connection=None, has_portal=False)
    for delivery in ("manual", "account", "deeplink"):
        manual = connector_for(SimpleNamespace(delivery=delivery, provider=provider))
        request = asked()
        assert manual.provision(request).status == manual.fetch(request.request_id).status == Status.MANUAL
    with pytest.raises(ValueError, match="bundle"):
        connector_for(SimpleNamespace(delivery="bundle", provider=None))
    # A sandbox partner is never led to the real provider.
    real = SimpleNamespace(connection=connector.connection, test_connection=None, has_portal=False)
    assert connector_for(SimpleNamespace(delivery="account", provider=real)).title != connector.title
