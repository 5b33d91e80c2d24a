"""A gateway's page in the console: new settings are tried at the gateway before they take the place of the old."""

from typing import Any

from apps.connectors.models import Connection
from apps.core.tenancy import in_public
from apps.journal.models import Entry
from tests.connectors.test_admin import address, staff
from tests.payments.conftest import Till

__all__ = ["staff"]
BUTTON = "connectors_connection_check_and_save"


def test_a_new_secret_is_tried_before_it_is_saved(staff: Any, till: Till) -> None:
    page = address("connectors_connection_change", till.connection.pk)
    form = {"name": till.connection.name, "is_enabled": "on", "legal_entity": till.connection.legal_entity_id}
    form |= {
        f"config_{name}": value for name, value in till.connection.config.items() if name != "secret_key"
    }
    with in_public():
        shown = staff.get(page).content.decode()
        assert f'name="{BUTTON}"' in shown
        assert "Не проверялось" in shown
        assert "(&#x27;new" not in shown
        answer = staff.post(page, {**form, "config_secret_key": "not-that-one", BUTTON: ""})
        told = answer.content.decode()
        assert answer.status_code == 200
        assert "Не сохранено: с этими настройками не работает" in told
        assert "not-that-one" not in told
        stored = Connection.objects.get(pk=till.connection.pk)
        assert (stored.config["secret_key"], stored.opened_at) == ("secret", None)
        assert not Entry.objects.filter(action="connection.changed", object_id=str(stored.pk)).exists()
        till.gateway.add_shop(till.shop, "the-new-one")
        answer = staff.post(page, {**form, "config_secret_key": "the-new-one", BUTTON: ""}, follow=True)
        told = answer.content.decode()
        assert f"Магазин {till.shop}" in told
        assert "the-new-one" not in told
        stored.refresh_from_db()
        assert stored.config["secret_key"] == "the-new-one"
        # Without the button it is taken as it is: a service that is down must not keep staff from its page.
        till.gateway.switch(on=False)
        assert staff.post(page, {**form, "config_secret_key": "one-more"}).status_code == 302
        assert Connection.objects.get(pk=stored.pk).config["secret_key"] == "one-more"
