"""Hosts lead to their partner, or to a clear page."""

from typing import Any

from django.conf import settings

from apps.partners.models import Partner
from tests.conftest import make_partner


def test_a_new_partner_is_live_at_once(partner: Partner, client_for: Any) -> None:
    answer = client_for(partner).get("/")
    assert answer.status_code == 200
    assert partner.name in answer.content.decode()


def test_every_host_has_an_icon(client_for: Any, partner: Partner) -> None:
    for client in (client_for(partner), client_for()):
        answer = client.get("/favicon.ico")
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")


def test_an_unknown_host_is_a_clear_page(client_for: Any, partner: Partner) -> None:
    client = client_for(partner)
    answer = client.get("/", SERVER_NAME="nobody.localhost")
    assert answer.status_code == 404
    assert "По этому адресу ничего нет" in answer.content.decode()


def test_the_two_consoles_do_not_show_each_others_models(partner: Partner, staff_client: Any) -> None:
    there, here = staff_client(partner), staff_client()
    assert there.get("/admin/partners/partner/").status_code == 404
    assert here.get("/admin/orders/order/").status_code == 404
    assert there.get("/admin/orders/order/").status_code == 200
    assert here.get("/admin/partners/partner/").status_code == 200
    assert here.get(f"/p/{partner.slug}/admin/orders/order/").status_code == 200


def test_roles_are_of_one_partner_and_sessions_of_one_host(
    partner: Partner, staff_client: Any, client_for: Any
) -> None:
    own = staff_client(partner, role="manager", of=partner)
    assert own.get("/admin/orders/order/").status_code == 200
    other = make_partner()
    assert staff_client(other, role="admin", of=partner).get("/admin/orders/order/").status_code == 302
    stolen = client_for(other)
    stolen.cookies = own.cookies
    assert stolen.get("/admin/orders/order/").status_code == 302
    assert own.get(f"/p/{partner.slug}/admin/orders/order/", SERVER_NAME="localhost").status_code == 302


def test_certificates_are_asked_for_our_hosts_only(client_for: Any, partner: Partner) -> None:
    ask = client_for()
    for host, status in {partner.host: 200, "localhost": 200, "nobody.example": 404, "": 404}.items():
        answer = ask.get("/internal/tls-check", {"domain": host}, SERVER_NAME="web")
        assert answer.status_code == status, host


def test_health_is_told_on_any_host(client_for: Any, partner: Partner) -> None:
    answer = client_for(partner).get("/healthz")
    assert answer.json()["parts"]["database"] == "ok"
    assert {"outbox_lag_seconds", "oldest_unknown_seconds"} <= set(answer.json())


def test_the_api_is_described_on_the_platforms_own_host_too(client_for: Any) -> None:
    client = client_for(None)
    assert "/api/schema/" in client.get("/api/docs/").content.decode()
    schema = client.get("/api/schema/", headers={"accept": "application/vnd.oai.openapi+json"}).json()
    assert "/api/v1/orders/" in schema["paths"]
    [server] = schema["servers"]
    assert f"{{partner}}.{settings.PUBLIC_HOST}" in server["url"]
    assert client.get("/api/docs/problems").status_code == 200
    assert client.get("/api/v1/orders/").status_code == 404
