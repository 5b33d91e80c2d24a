"""Moving a base in by API: the same steps as in the console, with problem documents where they are refused."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.billing.models import Invoice, Subscription
from apps.billing.moving.models import BaseImport, BaseRow
from apps.channels.models import ApiKey, Channel, Scope
from apps.core import clock
from tests.billing.bases import as_csv, gateway, old_csv
from tests.billing.test_moving_console import rows
from tests.orders.shop import Shop

API = "/api/v1"


@pytest.fixture
def call(shop: Shop, client_for: Callable[..., Client]) -> Callable[..., Any]:
    """`call(path)` reads, `call(path, data)` posts JSON, `call(path, file=…)` uploads; by a key that may."""
    _key, secret = ApiKey.issue(Channel.objects.get(code="api"), [Scope.BASE_MOVE])
    client = client_for(shop.partner)

    def make(path: str, data: Any = None, *, file: tuple[str, bytes] | None = None, **given: Any) -> Any:
        headers = {"authorization": f"Bearer {given.pop('secret', secret)}", **given.pop("headers", {})}
        if file:
            upload = {"file": SimpleUploadedFile(*file), **given}
            return client.post(f"{API}/{path}/", upload, headers=headers)
        if data is None:
            return client.get(f"{API}/{path}", headers=headers)
        return client.post(f"{API}/{path}/", data, "application/json", headers=headers)

    return make


def test_looked_at_loaded_compared_moved_and_taken_back(shop: Shop, call: Any) -> None:
    base, place = rows(shop), gateway(shop).pk
    assert {"id": place, "name": gateway(shop).name} in call("base-imports/gateways/").json()
    made = call("base-imports", file=("base.csv", as_csv(base)), connection=place)
    assert made.status_code == 201
    said = made.json()
    assert (said["state"], said["rows"], said["good"], said["errors"]) == ("looked", 2, 1, 1)
    assert (said["connection"], said["loaded"]) == (place, None)
    assert not BaseRow.objects.exists()
    [doubt] = call(f"base-imports/{said['id']}/doubts/?severity=error").json()["results"]
    assert (doubt["line"], doubt["external_id"], doubt["severity"]) == (3, "A-2", "error")
    assert doubt["text"] == "Тарифа нет в каталоге: NOTHING"
    assert call(f"base-imports/{said['id']}/doubts/?code=no_id").json()["results"] == []

    loaded = call(f"base-imports/{said['id']}/load", {}).json()
    assert (loaded["state"], loaded["loaded"]["new"], loaded["loaded"]["left"]) == ("loaded", 1, 1)
    again = call(f"base-imports/{said['id']}/load", {})
    assert (again.status_code, again.json()["title"]) == (409, "base_not_waiting")

    day = clock.today() + timedelta(days=10)
    charged = old_csv([{"external_id": "A-1", "day": day, "amount": "250.00"}])
    run = call(
        "shadow-runs",
        file=("november.csv", charged),
        start=str(clock.today()),
        end=str(clock.today() + timedelta(days=30)),
    )
    assert run.status_code == 201, run.content
    assert (run.json()["compared"], run.json()["unexplained"], run.json()["theirs"]) == (1, 1, "250.00")
    [difference] = call(f"shadow-runs/{run.json()['id']}/differences/?explained=false").json()["results"]
    assert (difference["kind"], difference["ours"]["amount"]) == ("other_amount", "300.00")
    assert difference["theirs"] == {"date": str(day), "amount": "250.00"}

    [batch] = call("base-batches", {"count": 10}).json()["batches"]
    assert (batch["state"], batch["size"]) == ("planned", 1)
    shop.deliver()
    batch = call(f"base-batches/{batch['id']}/").json()
    assert (batch["state"], batch["moved"], batch["left"]) == ("done", 1, [])
    [row] = call("base-rows/?external_id=A-1").json()["results"]
    moved = Subscription.objects.get(pk=row["subscription"])
    assert (row["state"], row["batch"], moved.price) == ("moved", batch["id"], Decimal("300.00"))
    assert not Invoice.objects.exists()
    back = call(f"base-batches/{batch['id']}/undo", {})
    assert (back.status_code, back.json()["state"]) == (200, "undone")
    twice = call(f"base-batches/{batch['id']}/undo", {})
    assert (twice.status_code, twice.json()["title"]) == (409, "batch_not_moved")


def test_wrong_files_counts_and_keys_are_refused_clearly(shop: Shop, call: Any) -> None:
    for file in (("base.csv", b"\xff\xfe\x00nothing"), ("base.csv", b"a;b\n1;2\n"), ("base.xlsx", b"no")):
        answer = call("base-imports", file=file)
        assert (answer.status_code, answer.json()["title"]) == (400, "bad_file"), answer.content
        assert answer["Content-Type"] == "application/problem+json"
    answer = call("base-imports", file=("base.csv", as_csv(rows(shop))), connection=999_999)
    assert (answer.status_code, answer.json()["title"]) == (400, "unknown_gateway")
    answer = call("base-imports", {})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["file"])
    assert call("base-batches", {"count": 0}).status_code == 400
    nothing = call("base-batches", {"count": 1})
    assert (nothing.status_code, nothing.json()["title"]) == (409, "nothing_waits")
    _key, narrow = ApiKey.issue(Channel.objects.get(code="api"), ["subscriptions:write"])
    for path, data in (("base-rows/", None), ("base-batches", {"count": 1})):
        assert call(path, data, secret=narrow).status_code == 403
    assert not BaseImport.objects.exists()


def test_an_upload_that_is_sent_again_is_one_file_and_another_file_is_not(shop: Shop, call: Any) -> None:
    base = rows(shop)
    first = call("base-imports", file=("base.csv", as_csv(base)), headers={"Idempotency-Key": "k"})
    again = call("base-imports", file=("base.csv", as_csv(base)), headers={"Idempotency-Key": "k"})
    assert (first.json()["id"], again["Idempotent-Replayed"]) == (again.json()["id"], "true")
    assert BaseImport.objects.count() == 1
    other = call("base-imports", file=("base.csv", as_csv(base[:1])), headers={"Idempotency-Key": "k"})
    assert other.status_code == 422
