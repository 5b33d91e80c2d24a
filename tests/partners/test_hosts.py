"""Hosts lead to their partner, or to a clear page."""

from typing import Any

from apps.partners.models import Partner


def test_a_new_partner_is_live_at_once(partner: Partner, client_for: Any) -> None:
    answer = client_for(partner).get("/")
    assert answer.status_code == 200
    assert partner.name in answer.content.decode()


def test_an_unknown_host_is_a_clear_page(client_for: Any, partner: Partner) -> None:
    client = client_for(partner)
    answer = client.get("/", SERVER_NAME="nobody.localhost")
    assert answer.status_code == 404
    assert "По этому адресу ничего нет" in answer.content.decode()


def test_the_two_consoles_do_not_show_each_others_models(partner: Partner, client_for: Any) -> None:
    assert client_for(partner).get("/admin/partners/partner/").status_code == 404
    assert client_for().get("/admin/orders/order/").status_code == 404
    assert client_for(partner).get("/admin/orders/order/").status_code == 302
    assert client_for().get("/admin/partners/partner/").status_code == 302


def test_health_is_told_on_any_host(client_for: Any, partner: Partner) -> None:
    answer = client_for(partner).get("/healthz")
    assert answer.json()["parts"]["database"] == "ok"
    assert {"outbox_lag_seconds", "oldest_unknown_seconds"} <= set(answer.json())
