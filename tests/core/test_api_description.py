"""The API's description tells of errors and safe repeats; every code of an error is explained."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import URLResolver

from apps.channels.models import ApiKey, Channel, Scope
from apps.core.problems import CODES
from armor.urls_partner import router

APPS = Path(__file__).parents[2] / "apps"
# What only pages and consoles refuse.
NOT_API = {"demo", "sandbox", "callcenters", "reports", "storefronts", "notifications"}
NOT_API_FILES = {
    "accounts/sign_in.py",
    "orders/fulfilment.py", "orders/former_phone.py", "partners/services.py", "partners/clock.py",
    # What a row of a mass action is refused for stands in the row.
    "billing/gifts.py", "billing/mass/deeds.py",
    # The API only reads the catalogue: staff change prices, offers and states by console.
    "catalog/price_changes.py", "catalog/lifecycle.py", "catalog/matrix.py", "catalog/cloning.py",
    # A customer agrees, and answers, on a page.
    "billing/price_changes.py", "orders/asking.py",
    # Second persons, cases, payment orders and reconciliation are the console's.
    "billing/outside_refunds.py", "payments/authority.py", "payments/disputes.py", "payments/bank_payouts.py",
    "payments/refund_admin.py",
    # Plans, stops, files of orders, deeds, tasks, keys and a provider's own answers are of consoles too.
    "catalog/plans.py", "catalog/stops.py", "orders/bulk_orders.py", "orders/control/deeds.py", "orders/tasks.py",
    "orders/key_pages.py", "orders/replacing.py", "providers/definitions.py", "providers/trying.py",
    "providers/portal/requests.py",
    "settlements/uploading.py", "settlements/payouts.py", "settlements/reconciliation.py",
}  # fmt: skip
# What only staff do by console, in files that serve the API too.
NOT_API_CODES = {
    "bad_code",
    "promo_taken",
    "above_limit",
    "refund_decided",
    "receipt_no_way",
    "not_asked",
    "item_closed",
    "no_role",
    "other_deed",
}


@pytest.fixture
def described(partner: Any, client_for: Callable[..., Client]) -> dict[str, Any]:
    answer = client_for(partner).get("/api/schema/", {"format": "json"})
    assert answer.status_code == 200
    return dict(answer.json())


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    paths = described["paths"].items()
    return [(path, method, said) for path, methods in paths for method, said in methods.items()]


def test_no_example_is_a_number_of_somebody(described: dict[str, Any]) -> None:
    """Else a partner of that id is shown as if it were the reader's, and the isolation test cries wolf."""
    numbers = set(re.findall(r"\b[A-Z]\d\d-\d+-(\d+)-\d{6}\b", json.dumps(described, ensure_ascii=False)))
    assert numbers == {"0"}


def test_every_operation_has_errors_and_repeatable_ones_say_so(described: dict[str, Any]) -> None:
    found = operations(described)
    assert len(found) > 10
    for path, method, said in found:
        content = said["responses"]["4XX"]["content"]["application/problem+json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (path, method)
    repeatable = {
        path
        for path, method, said in found
        if any(
            one["name"] == "Idempotency-Key" and one["in"] == "header" for one in said.get("parameters", [])
        )
    }
    assert repeatable == {
        "/api/v1/balances/{id}/pay-out/",
        "/api/v1/customers/",
        "/api/v1/charge-requests/{id}/charged/",
        "/api/v1/charge-requests/{id}/refused/",
        "/api/v1/collection-reports/",
        "/api/v1/orders/",
        "/api/v1/orders/bulk/",
        "/api/v1/orders/{id}/cancel/",
        "/api/v1/orders/{id}/confirm/",
        "/api/v1/fulfilments/{id}/heard/",
        "/api/v1/questions/{id}/answer/",
        "/api/v1/invoices/{id}/send/",
        "/api/v1/base-imports/",
        "/api/v1/base-imports/{id}/load/",
        "/api/v1/refunds/",
        "/api/v1/payments/{id}/capture/",
        "/api/v1/payments/{id}/void/",
        "/api/v1/shadow-runs/",
        "/api/v1/base-batches/",
        "/api/v1/base-batches/{id}/undo/",
        "/api/v1/credit-notes/{id}/send/",
        "/api/v1/documents/{id}/send/",
        "/api/v1/subscriptions/{id}/cancel/",
        "/api/v1/mass-actions/",
        "/api/v1/mass-actions/{id}/confirm/",
        "/api/v1/mass-actions/{id}/drop/",
        "/api/v1/payment-methods/{id}/refuse/",
        "/api/v1/subscriptions/{id}/change/",
        "/api/v1/subscriptions/{id}/end-date/",
        "/api/v1/subscriptions/{id}/pause/",
        "/api/v1/subscriptions/{id}/promo-code/",
        "/api/v1/subscriptions/{id}/release-seat/",
        "/api/v1/subscriptions/{id}/retention/",
        "/api/v1/subscriptions/{id}/seats/",
        "/api/v1/subscriptions/{id}/transfer/",
        "/api/v1/subscriptions/{id}/undo-change/",
        "/api/v1/subscriptions/{id}/resume/",
    }


def refused() -> set[str]:
    """Codes of every Refused that an API call may end in."""
    found = set()
    for path in APPS.rglob("*.py"):
        where = path.relative_to(APPS)
        if where.parts[0] in NOT_API or str(where) in NOT_API_FILES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                code = node.args[0]
                found |= {str(code.value)} if isinstance(code, ast.Constant) else set()
    return found


def test_the_files_that_are_left_out_are_there_and_serve_no_address() -> None:
    """Else an address that comes later would refuse with codes that nobody explains."""
    for name in NOT_API_FILES:
        assert (APPS / name).exists(), name
    served = {(prefix, view.__module__.split(".")[1]) for prefix, view, _base in router.registry}
    writing = {app for prefix, app in served if app == "catalog" and prefix != "offers"}
    assert writing == set()
    assert ("offers", "catalog") in served


def test_the_page_of_codes_explains_every_one(partner: Any, client_for: Callable[..., Client]) -> None:
    assert refused() - NOT_API_CODES - set(CODES) == set()
    client = client_for(partner)
    problem = client.get("/api/v1/orders/").json()
    page, _hash, code = problem["type"].partition("#")
    answer = client.get(page)
    assert answer.status_code == 200
    assert f'id="{code}"' in answer.content.decode()


def test_a_method_that_nobody_answers_is_405_and_one_without_scope_is_not_open(
    partner: Any, client_for: Callable[..., Client]
) -> None:
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), Scope.values)
    _narrow, other = ApiKey.issue(Channel.objects.get(code="api"), ["offers:read"])
    client = client_for(partner)
    for secret in (text, other):
        bearer = {"authorization": f"Bearer {secret}"}
        answer = client.put("/api/v1/orders/", {}, "application/json", headers=bearer)
        assert (answer.status_code, answer.json()["title"]) == (405, "method_not_allowed")
        assert "POST" in answer["Allow"]
    assert client.put("/api/v1/orders/", {}, "application/json").status_code == 401
    refused = client.post(
        "/api/v1/orders/", {}, "application/json", headers={"authorization": f"Bearer {other}"}
    )
    assert refused.status_code == 403


def test_every_method_of_every_view_names_its_scope() -> None:
    from armor.urls_partner import router, urlpatterns

    assert any(isinstance(found, URLResolver) for found in urlpatterns)
    for pattern in router.urls:
        view = pattern.callback
        for method in view.actions:
            if method != "head":
                assert method.upper() in view.cls.required_scopes, (pattern.pattern, method)
