"""Which connection serves whom, and its form: a secret goes in and never comes out."""

import pytest

from apps.connectors.forms import form_for
from apps.connectors.models import Connection
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from tests.connectors.conftest import ECHO
from tests.connectors.echo import Echo


def test_own_before_the_operators_and_never_a_test_one_for_a_live_partner(
    connection, partner, sandbox_partner
):
    kind = "channel"
    with in_public():
        Connection.objects.filter(kind=kind).update(is_enabled=False)
        plain = {"kind": kind, "connector": ECHO}
        theirs = Connection.objects.create(**plain, name="платформы")
        test = Connection.objects.create(**plain, name="тестовое", is_test=True)
        assert Connection.objects.for_partner(partner, kind) == theirs
        assert Connection.objects.for_partner(sandbox_partner, kind) == test
        own = Connection.objects.create(**plain, name="своё", partner=partner)
        assert Connection.objects.for_partner(partner, kind) == own
        own.is_enabled = theirs.is_enabled = False
        own.save()
        theirs.save()
        with pytest.raises(Refused) as refused:
            Connection.objects.for_partner(partner, kind)
        assert refused.value.code == "no_connection"


def test_form_keeps_a_secret_to_itself(connection):
    form_class = form_for(ECHO, Echo)
    shown = form_class(instance=connection)
    assert "sesame" not in shown.as_p()
    assert connection.config["url"] in shown.as_p()
    given = {"name": "Эхо", "is_enabled": "on", "config_url": "http://echo.example", "config_password": ""}
    given |= {"config_limit": "5", "partner": connection.partner_id}
    form = form_class(given, instance=connection)
    assert form.is_valid(), form.errors
    saved = form.save()
    assert saved.config == {
        "url": "http://echo.example",
        "password": "sesame",
        "limit": 5,
        "loud": False,
    }
    assert (saved.kind, saved.connector) == ("channel", ECHO)
    assert saved.reader().config.url == "http://echo.example"
    new = form_class({**given, "config_password": ""}, instance=Connection())
    assert "config_password" in new.errors
