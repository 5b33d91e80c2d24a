"""The same over HTTP: who may look, load, move and agree in the console; mass actions by API; the command."""

import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from apps.billing.mass.models import MassAction, MassState
from apps.billing.models import Subscription, SubscriptionState
from apps.billing.moving import handlers
from apps.billing.moving.models import BaseBatch, BaseImport, BaseRow, ImportState, ShadowRun
from apps.channels.models import ApiKey, Channel
from apps.core import clock
from tests.billing.bases import as_csv, gateway, old_csv
from tests.orders.shop import Shop
from tests.orders.test_api import SCOPES

BILLING = "/admin/billing"


def rows(shop: Shop) -> list[dict[str, Any]]:
    offer = shop.offer(delivery="key", keys=1, price="300.00")
    day = clock.today() + timedelta(days=10)
    good = {"tariff": offer.tariff.code, "next_charge_date": day, "token": "t"}
    return [
        {"external_id": "A-1", "customer_id": "1", "keys": "K-1", **good},
        {"external_id": "A-2", "customer_id": "2", "keys": "K-2", **good, "tariff": "NOTHING"},
    ]


def posted(client: Client, page: str, name: str, content: bytes, **given: Any) -> Any:
    return client.post(f"{BILLING}/{page}", {"file": SimpleUploadedFile(name, content), **given}, follow=True)


def test_a_manager_looks_loads_compares_moves_and_takes_back(
    shop: Shop, staff_client: Callable[..., Client]
) -> None:
    web = staff_client(shop.partner, role="manager", of=shop.partner)
    base = rows(shop)
    answer = posted(web, "baseimport/add/", "base.csv", as_csv(base), connection=gateway(shop).pk)
    text = answer.content.decode()
    assert "Тарифа нет в каталоге: NOTHING" in text
    assert "Загрузить 1" in text
    made = BaseImport.objects.get()
    assert (made.state, BaseRow.objects.count()) == (ImportState.LOOKED, 0)
    sheet = openpyxl.load_workbook(
        io.BytesIO(web.get(f"{BILLING}/baseimport/{made.pk}/doubts/").content)
    ).active
    assert [cell.value for cell in sheet[2]][:4] == [3, "Ошибка", "A-2", "Тарифа нет в каталоге"]
    answer = web.post(f"{BILLING}/baseimport/{made.pk}/change/", follow=True)
    assert "Строки загружены и ждут переноса" in answer.content.decode()
    made.refresh_from_db()
    assert (made.content, made.loaded["new"]) == ("", 1)
    answer = web.post(f"{BILLING}/baseimport/{made.pk}/change/", follow=True)
    assert "уже загружен" in answer.content.decode()

    charges = old_csv([{"external_id": "A-1", "day": base[0]["next_charge_date"], "amount": "299,00"}])
    day = clock.today()
    answer = posted(
        web,
        "shadowrun/add/",
        "old.csv",
        charges,
        start=f"{day:%d.%m.%Y}",
        end=f"{day + timedelta(days=31):%d.%m.%Y}",
    )
    assert "Другая сумма" in answer.content.decode()
    run = ShadowRun.objects.get()
    assert web.get(f"{BILLING}/shadowrun/{run.pk}/differences/").status_code == 200

    answer = web.post(f"{BILLING}/basebatch/add/", {"count": "5", "size": "2"}, follow=True)
    assert "Пачек в очереди: 1" in answer.content.decode()
    shop.deliver()
    batch = BaseBatch.objects.get()
    assert "A-1" in web.get(f"{BILLING}/basebatch/{batch.pk}/change/").content.decode()
    answer = web.post(f"{BILLING}/basebatch/{batch.pk}/undo/", follow=True)
    assert "Пачка возвращена" in answer.content.decode()
    answer = web.post(f"{BILLING}/basebatch/{batch.pk}/undo/", follow=True)
    assert "уже возвращена" in answer.content.decode()
    for page in ("baseimport", "shadowrun", "basebatch", "massaction"):
        assert web.get(f"{BILLING}/{page}/").status_code == 200
        assert web.get(f"{BILLING}/{page}/00000000-0000-0000-0000-000000000000/change/").status_code == 404


def test_who_may_not(shop: Shop, staff_client: Callable[..., Client]) -> None:
    support = staff_client(shop.partner, role="support", of=shop.partner)
    finance = staff_client(shop.partner, role="finance", of=shop.partner)
    for client, page, status in (
        (support, "baseimport/", 403),
        (support, "baseimport/add/", 403),
        (finance, "baseimport/", 200),
        (finance, "baseimport/add/", 403),
        (finance, "shadowrun/add/", 403),
        (finance, "basebatch/add/", 403),
        (finance, "massaction/add/", 403),
        (support, "massaction/", 200),
    ):
        assert client.get(f"{BILLING}/{page}").status_code == status, page


def test_bad_files_are_said_by_the_field(shop: Shop, staff_client: Callable[..., Client]) -> None:
    web = staff_client(shop.partner, role="manager", of=shop.partner)
    answer = posted(web, "baseimport/add/", "base.xlsx", b"nothing")
    assert "Это не файл XLSX" in answer.content.decode()
    answer = posted(web, "baseimport/add/", "base.csv", "Цвет\nсиний\n".encode())
    assert "Непонятные столбцы: цвет" in answer.content.decode()
    answer = posted(web, "shadowrun/add/", "old.csv", b"x", start="01.01.2027", end="01.02.2027")
    assert answer.status_code == 200
    assert not ShadowRun.objects.exists()
    answer = web.post(f"{BILLING}/basebatch/add/", {"count": "5", "size": "2"})
    assert "Ни одна подписка не ждёт переноса" in answer.content.decode()


def test_a_file_that_nobody_loads_is_dropped_in_a_day(
    shop: Shop, staff_client: Callable[..., Client]
) -> None:
    web = staff_client(shop.partner, role="manager", of=shop.partner)
    posted(web, "baseimport/add/", "base.csv", as_csv(rows(shop)), connection=gateway(shop).pk)
    handlers.drop_files()
    assert BaseImport.objects.get().content
    BaseImport.objects.update(created_at=clock.now() - handlers.KEPT - timedelta(minutes=1))
    handlers.drop_files()
    made = BaseImport.objects.get()
    assert made.content == ""
    assert "устарел" in web.post(f"{BILLING}/baseimport/{made.pk}/change/", follow=True).content.decode()


def test_a_mass_action_takes_another_person_above_the_limit(
    shop: Shop, staff_client: Callable[..., Client], settings: Any
) -> None:
    settings.MASS_ACTION_SUM = 10
    anna = staff_client(shop.partner, role="manager", of=shop.partner)
    boris = staff_client(shop.partner, role="finance", of=shop.partner)
    support = staff_client(shop.partner, role="support", of=shop.partner)
    one = shop.buy(shop.offer(price="300.00"))
    chosen = {"action": "for_many", "_selected_action": [str(one.pk)], "index": "0"}
    asked = anna.post(f"{BILLING}/subscription/", chosen)
    assert "Выбрано подписок: <b>1</b>" in asked.content.decode()
    wanted = {**chosen, "kind": "extend", "days": "7", "when": "period_end", "reason": "Сбой"}
    assert "1 до 366" in anna.post(f"{BILLING}/subscription/", {**wanted, "days": ""}).content.decode()
    assert anna.post(f"{BILLING}/subscription/", wanted).status_code == 302
    made = MassAction.objects.get()
    shop.deliver()
    page = f"{BILLING}/massaction/{made.pk}"
    assert "Нужно подтверждение другого сотрудника" in anna.get(f"{page}/change/").content.decode()
    for client, status in ((anna, 302), (support, 403)):
        assert client.post(f"{page}/confirm/").status_code == status
    made.refresh_from_db()
    assert made.state == MassState.READY
    assert boris.get(f"{page}/confirm/").status_code == 302, "a look changes nothing"
    made.refresh_from_db()
    assert made.state == MassState.READY
    boris.post(f"{page}/confirm/")
    shop.deliver()
    made.refresh_from_db()
    assert made.state == MassState.DONE
    sheet = openpyxl.load_workbook(io.BytesIO(boris.get(f"{page}/rows/").content)).active
    assert [cell.value for cell in sheet[2]][3] == "Сделано"
    one.refresh_from_db()
    assert sheet[2][4].value == pytest.approx(float(made.rows.get().amount))


@pytest.fixture
def api(shop: Shop, client_for: Callable[..., Client]) -> Client:
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), SCOPES)
    return client_for(shop.partner, Authorization=f"Bearer {text}")


def test_mass_actions_by_api(shop: Shop, api: Client, settings: Any) -> None:
    offer = shop.offer(price="300.00")
    one, other = shop.buy(offer), shop.buy(offer)
    url, reason = "/api/v1/mass-actions/", "Сбой"
    wanted = {"kind": "refund", "params": {"percent": "10"}, "reason": reason}

    def post(path: str, data: Any = None) -> Any:
        return api.post(path, data or {}, "application/json")

    for bad in (
        wanted,
        {**wanted, "subscriptions": [], "filter": {}},
        {**wanted, "params": 5, "filter": {}},
        {**wanted, "filter": {"state": "nothing"}},
        {**wanted, "params": {"percent": "200"}, "filter": {}},
    ):
        answer = post(url, bad)
        assert answer.status_code == 400, bad
        assert answer["Content-Type"] == "application/problem+json"
    made = post(url, {**wanted, "filter": {"state": "active", "offer": offer.pk}})
    assert (made.status_code, made.json()["state"], made.json()["size"]) == (201, "counting", 2)
    page = f"{url}{made.json()['id']}/"
    shop.deliver()
    known = api.get(page).json()
    assert (known["state"], known["total"], known["counts"]["counted"]) == ("ready", "60.00", 2)
    settings.MASS_ACTION_ROWS = 1
    refused = post(f"{page}confirm/")
    assert (refused.status_code, refused.json()["title"]) == (403, "second_person")
    settings.MASS_ACTION_ROWS = 10
    assert post(f"{page}confirm/").json()["state"] == "running"
    assert post(f"{page}confirm/").json()["title"] == "not_ready"
    shop.deliver()
    found = api.get(f"{page}rows/").json()["results"]
    assert {row["subscription"]: (row["state"], row["amount"]) for row in found} == {
        str(one.pk): ("done", "30.00"),
        str(other.pk): ("done", "30.00"),
    }
    again = post(url, {**wanted, "subscriptions": [str(one.pk)]})
    assert post(f"{url}{again.json()['id']}/drop/").json()["state"] == "dropped"
    assert len(api.get(url).json()["results"]) == 2


def test_the_command_says_every_doubt_and_loads_when_told(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "base.csv"
    file.write_bytes(as_csv(rows(shop)))
    out = io.StringIO()
    key = str(gateway(shop).pk)
    call_command("import_base", shop.partner.slug, str(file), "--connection", key, stdout=out)
    assert "3\tОшибка\tA-2\tТарифа нет в каталоге: NOTHING" in out.getvalue()
    assert "2 rows, 1 good" in out.getvalue()
    assert not BaseRow.objects.exists()
    call_command("import_base", shop.partner.slug, str(file), "--connection", key, "--load", stdout=out)
    assert BaseRow.objects.count() == 1
    charges, day = tmp_path / "old.csv", clock.today()
    charges.write_bytes(
        old_csv([{"external_id": "A-1", "day": day + timedelta(days=10), "amount": "300,00"}])
    )
    period = [str(day), str(day + timedelta(days=31))]
    call_command("import_base", shop.partner.slug, str(charges), "--shadow", *period, stdout=out)
    assert "1 equal, 0 explained, 0 not explained" in out.getvalue()
    charges.write_bytes(old_csv([{"external_id": "A-1", "day": day, "amount": "1,00"}]))
    with pytest.raises(CommandError, match="not explained"):
        call_command("import_base", shop.partner.slug, str(charges), "--shadow", *period, stdout=out)
    for arguments in (["nobody", str(file)], [shop.partner.slug, "nowhere.csv"]):
        with pytest.raises(CommandError):
            call_command("import_base", *arguments, stdout=out)
    with pytest.raises(CommandError, match="gateway"):
        call_command("import_base", shop.partner.slug, str(file), "--connection", "987654321", stdout=out)
    assert not Subscription.objects.filter(state=SubscriptionState.ACTIVE).exists()
    assert ShadowRun.objects.order_by("pk")[0].ours == Decimal("300.00")
