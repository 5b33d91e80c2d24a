"""Staff plugs in a service, checks it, switches it off; secrets stay inside; money is only looked at."""

from datetime import date
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.urls import reverse

from apps.connectors import webhooks
from apps.connectors.models import Connection
from apps.core.models import Due
from apps.core.tenancy import in_public
from apps.journal.models import Entry
from apps.ledger import ledger
from apps.policies import numbering
from tests.connectors.conftest import ECHO
from tests.ledger.test_ledger import NOON, posting

ADMIN = "armor.urls_public"


@pytest.fixture
def staff(client_for):
    """The operator's administrator, signed in on the operator's host."""
    client = client_for()
    with in_public():
        user = User.objects.create_superuser(f"admin-{uuid4()}")
        client.force_login(user)
        session = client.session
        session["host"] = client.defaults["SERVER_NAME"]
        session.save()
    return client


def address(name, *args):
    return reverse(f"admin:{name}", urlconf=ADMIN, args=args)


def test_service_is_plugged_in_checked_and_switched_off(staff, connection, server):
    add = address("connectors_connection_add")
    assert "Эхо" in staff.get(add).content.decode()
    assert staff.get(f"{add}?connector=os.system").status_code == 200  # the choice again
    with in_public():
        form = {"name": "Новое", "is_enabled": "on", "config_url": server.url, "config_password": "sesame"}
        form |= {"config_limit": "3", "partner": "", "legal_entity": ""}
        answer = staff.post(f"{add}?connector={ECHO}", form)
        assert answer.status_code == 302, answer.context["errors"]
        made = Connection.objects.get(name="Новое", config__isnull=False)
        assert made.config == {"url": server.url, "password": "sesame", "limit": 3, "loud": False}
    change = address("connectors_connection_change", made.pk)
    page = staff.get(change).content.decode()
    assert server.url in page
    assert "sesame" not in page
    # Where the service is to send its notices.
    assert f"{settings.PUBLIC_HOST}:{settings.PUBLIC_PORT}/hooks/{made.pk}/<" in page
    checked = staff.get(address("connectors_connection_check_now", made.pk), follow=True)
    assert "Отвечает" in checked.content.decode()
    with in_public():
        off = {**form, "config_password": ""}
        del off["is_enabled"]
        assert staff.post(change, off).status_code == 302
        made.refresh_from_db()
        assert (made.is_enabled, made.config["password"]) == (False, "sesame")
        entries = Entry.objects.filter(object_kind="connectors.Connection", object_id=str(made.pk))
        assert set(entries.values_list("action", flat=True)) == {
            "connection.created",
            "connection.switched-off",
        }
        assert "sesame" not in str(list(entries.values_list("data", flat=True)))
    assert (
        "выключено"
        in staff.get(address("connectors_connection_check_now", made.pk), follow=True).content.decode()
    )
    assert staff.get(address("connectors_connection_changelist")).status_code == 200


def test_message_is_processed_again_by_a_button(staff, connection):
    with in_public():
        message_id = webhooks.store(connection, method="POST", query="", headers={}, body=b"{}")
        Due.objects.filter(object_id=message_id).delete()
        listed = address("connectors_inboundmessage_changelist")
        assert staff.get(listed).status_code == 200
        assert staff.get(address("connectors_inboundmessage_change", message_id)).status_code == 200
        staff.post(listed, {"action": "replay", "_selected_action": [str(message_id)]})
        assert Due.objects.filter(kind=webhooks.TASK, object_id=message_id, partner_id=None).exists()


def test_money_and_settings_are_shown(staff, partner):
    with transaction.atomic():
        ledger.post("invoice", uuid4(), [posting()], occurred_at=NOON, business_date=date(2026, 3, 1))
        numbering.allot("invoice", legal_entity_id=None, partner_id=partner.pk, year=2026)
    names = ["ledger_transfer", "policies_messagetemplate", "policies_vatrate", "policies_numbersequence"]
    for name in names:
        assert staff.get(address(f"{name}_changelist")).status_code == 200, name
    assert staff.get(address("ledger_transfer_add")).status_code == 403
    assert staff.get(address("policies_messagetemplate_add")).status_code == 200
    page = staff.get(address("ledger_transfer_changelist"), {"partner__id__exact": partner.pk})
    assert f"299{chr(160)}₽" in page.content.decode()
