"""The partner's console: customers are found and erased, messages are read but not their codes."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.accounts import customers, sign_in
from apps.accounts.models import Customer
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.partners.models import Partner, StaffRole


@pytest.fixture
def staff(partner: Partner, client_for: Callable[..., Client]) -> Callable[[str], Client]:
    def sign_in_as(role: str) -> Client:
        client = client_for(partner)
        with in_public():
            user = User.objects.create(username=f"{role}-{partner.slug}", is_staff=True)
            StaffRole.objects.create(user=user, partner=partner, role=role)
            client.force_login(user)
            # As the login page leaves it: a session is bound to its host.
            session = client.session
            session["host"] = partner.host
            session.save()
        return client

    return sign_in_as


def test_a_manager_finds_and_erases_a_customer(partner: Partner, staff: Callable[[str], Client]) -> None:
    anna = customers.register(phone="+79160000001", email="anna@example.ru", name="Анна Смирнова")
    customers.register(email="boris@example.ru", name="Борис")
    client, url = staff("manager"), "/admin/accounts/customer/"
    for text in ("8 916 000-00-01", "anna@", "Смирнова"):
        page = client.get(url, {"q": text}).content.decode()
        assert "anna@example.ru" in page, text
        assert "boris@example.ru" not in page, text
    assert client.get(f"{url}{anna.pk}/change/").status_code == 200
    chosen = {"action": "erase", "_selected_action": [str(anna.pk)]}
    staff("support").post(url, chosen)
    with in_partner(partner):
        assert Customer.objects.get(pk=anna.pk).email == "anna@example.ru"
    client.post(url, chosen)
    with in_partner(partner):
        assert Customer.objects.get(pk=anna.pk).erased_at


def test_the_log_shows_messages_without_codes(partner: Partner, staff: Callable[[str], Client]) -> None:
    customers.register(email="anna@example.ru")
    sign_in.request_code("anna@example.ru")
    message = Message.objects.get()
    client, url = staff("support"), "/admin/notifications/message/"
    for page in (client.get(url), client.get(f"{url}{message.pk}/change/")):
        text = page.content.decode()
        assert page.status_code == 200
        assert "anna@example.ru" in text
        assert "Код для входа" in text
        assert message.subject.split()[0] not in text
    assert client.get(f"{url}add/").status_code == 403
    assert client.post(f"{url}{message.pk}/change/", {"state": "sent"}).status_code == 403
