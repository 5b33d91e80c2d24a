"""Call lists out and back, signed calls that find their customer, requests in the queue."""

import csv
import hmac
import io
import json

import pytest
from django.conf import settings
from django.test import Client

from apps.accounts import customers
from apps.callcenters import audits, lists, requests
from apps.callcenters.models import CallList, CallTask, CustomerRequest, IncomingCall
from apps.connectors import webhooks
from apps.connectors.models import Connection, GatewayReference, InboundMessage
from apps.core import due, faults
from apps.core.errors import Refused
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_partner, in_public
from tests.conftest import make_partner
from tests.planted import found

SECRET = "sesame"


def rows_of(content):
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";")
    return sorted(rows, key=lambda row: row["Телефон"])


def written(rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, lists.COLUMNS, delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("cp1251")


@pytest.fixture
def call_list(partner):
    chosen = [
        customers.register(phone="+79161234501", name="=Анна"),
        customers.register(phone="+79161234502", name="Борис"),
        customers.register(email="only@example.ru"),
    ]
    return lists.create(name="Продления", customers=chosen, actor="lena")


def test_list_goes_out_without_formulas_and_results_come_back(call_list):
    rows = rows_of(lists.export(call_list))
    assert [(row["Имя"], row["Телефон"]) for row in rows] == [
        ("'=Анна", "+79161234501"),
        ("Борис", "+79161234502"),
    ]
    rows[0].update({"Результат": "Продажа", "Время звонка": "01.03.2026 14:30", "Комментарий": "рада"})
    assert lists.read_back(call_list, written(rows)) == 1
    task = CallTask.objects.get(pk=rows[0]["Номер"])
    assert (task.result, task.comment, task.called_at.hour) == ("sold", "рада", 11)


def test_bad_rows_are_named_in_russian_and_nothing_is_written(call_list):
    rows = rows_of(lists.export(call_list))
    rows[0].update({"Результат": "продажа"})
    stranger = {**rows[0], "Номер": "нет"}
    rows[1].update({"Результат": "ура", "Время звонка": "завтра"})
    with pytest.raises(lists.BadRows) as refused:
        lists.read_back(call_list, written([*rows, stranger, rows[0]]))
    assert [line[:9] for line in refused.value.rows] == ["Строка 3:", "Строка 4:", "Строка 5:"]
    assert "результат «ура» неизвестен" in refused.value.rows[0]
    assert not CallTask.objects.exclude(result="").exists()
    with pytest.raises(lists.BadRows, match="Нет столбца"):
        lists.read_back(call_list, b"a;b\n1;2\n")
    with pytest.raises(Refused):
        lists.create(name="Пусто", customers=[])


@pytest.fixture
def call_centre(operator):
    with in_public():
        return Connection.objects.create(
            kind="callcenter",
            connector="apps.callcenters.incoming.IncomingCalls",
            name="КЦ",
            legal_entity=operator,
            config={"secret": SECRET},
        )


def call(connection, secret=SECRET, **told):
    body = json.dumps(
        {"call_id": "c-1", "phone": "8 (916) 123-45-77", "at": "2026-03-01T10:00:00+03:00", **told}
    ).encode()
    signature = hmac.new(secret.encode(), body, "sha256").hexdigest()
    client = Client(headers={"host": settings.PUBLIC_HOST, "x-signature": signature})
    with in_public():
        answer = client.post(f"/hooks/{connection.pk}/", body, content_type="application/json")
        assert answer.status_code == 200
        message = InboundMessage.objects.filter(connection=connection).latest("received_at")
        for row in Due.objects.filter(kind=webhooks.TASK, object_id=message.pk):
            assert due.run(row)
        message.refresh_from_db()
    return message.state


def test_call_finds_the_customer_at_every_partner_and_never_goes_back(call_centre, partner):
    mine = customers.register(phone="+79161234577", name="Вера")
    with in_partner(make_partner()) as other:
        theirs = customers.register(phone="+79161234577")
    assert call(call_centre, state="answered", agent="lena", at="2026-03-01T10:00:05+03:00") == "done"
    assert call(call_centre, state="ringing") == "done"
    for whose, customer in ((partner, mine), (other, theirs)):
        with in_partner(whose):
            found = IncomingCall.objects.get()
            assert (found.customer, found.state, found.started_at.second) == (customer, "answered", 0)
    call(call_centre, state="ended", at="2026-03-01T10:05:00+03:00")
    assert IncomingCall.objects.get().ended_at is not None


def test_a_crash_while_numbers_are_allotted_leaves_none_behind(call_centre, partner):
    customers.register(phone="+79161234688")
    with faults.crash_at("callcenters.allotted-not-learnt"), pytest.raises(faults.Crash):
        call(call_centre, state="ringing", phone="+79161234688")
    assert not GatewayReference.objects.filter(connection=call_centre).exists()
    # The call centre had its answer: the message is stored, and is read again once the lease is over.
    Due.objects.filter(kind=webhooks.TASK).update(leased_until=None, lease=None)
    with in_partner(partner):
        assert call(call_centre, state="ringing", phone="+79161234688") == "done"
        assert IncomingCall.objects.get().call_id == "c-1"
    assert GatewayReference.objects.get(connection=call_centre).gateway_id == "c-1"


def test_forged_call_is_rejected(call_centre, partner):
    customers.register(phone="+79161234577")
    assert call(call_centre, secret="guess", state="ringing") == "rejected"
    assert call(call_centre, state="whispering") == "rejected"
    assert not IncomingCall.objects.exists()


def told(client, news=""):
    """What the open page of calls asks for."""
    with in_public():
        return client.get("/admin/reports/search/calls/", {"news": news}).json()


def test_a_stranger_is_listed_and_is_nobodys_task(call_centre, partner, staff):
    waiting = set(WorkItem.objects.values_list("pk", flat=True))
    for state in ("ringing", "missed"):
        assert call(call_centre, call_id="s-1", state=state, phone="+79990000000") == "done"
    assert set(WorkItem.objects.values_list("pk", flat=True)) == waiting
    assert not IncomingCall.objects.exists()
    client = staff(None, "support")
    [found] = [one for one in told(client)["calls"] if one["phone"] == "+79990000000"]
    assert (found["state"], found["card"], found["mine"]) == ("пропущен", "", False)
    with in_public():
        page = client.get("/admin/reports/search/calls/").content.decode()
    assert "Неизвестный номер" in page
    assert f"<strong>{client.user.username}</strong>" in page


def test_a_card_opens_for_the_agent_who_is_named_and_for_the_next_one(call_centre, partner, staff):
    customers.register(phone="+79161234599", name="Зоя")
    lena, petr = staff(None, "support"), staff(None, "support")

    def mine(client):
        return {one["mine"] for one in told(client)["calls"] if one["phone"] == "+79161234599"}

    asked = {"call_id": "c-7", "phone": "+79161234599"}
    call(call_centre, **asked, state="ringing", at="2026-03-01T10:00:00+03:00")
    assert (mine(lena), mine(petr)) == ({False}, {False})
    news = told(lena)["news"]
    assert told(lena, news)["calls"] == []
    answered = {**asked, "state": "answered", "agent": lena.user.username}
    call(call_centre, **answered, at="2026-03-01T10:00:05+03:00")
    assert (mine(lena), mine(petr)) == ({True}, {False})
    # Put through to a colleague; news that is late changes nothing.
    put_through = {**answered, "agent": petr.user.username}
    call(call_centre, **put_through, at="2026-03-01T10:02:00+03:00")
    call(call_centre, **answered, at="2026-03-01T10:01:00+03:00")
    assert (mine(lena), mine(petr)) == ({False}, {True})
    assert told(petr, news)["news"] != news
    call(call_centre, **asked, state="ended", at="2026-03-01T10:05:00+03:00")
    assert (mine(lena), mine(petr)) == ({False}, {False})


def test_request_is_in_the_queue_until_it_is_solved(partner):
    customer = customers.register(phone="+79161234577")
    made = requests.open_request(customer=customer, subject="Не работает ключ", text="…")
    assert WorkItem.objects.filter(partner_id=partner.pk, object_id=made.pk).exists()
    with pytest.raises(Refused):
        requests.move(request_id=made.pk, state="solved")
    requests.move(request_id=made.pk, state="solved", answer="Заменили")
    assert not WorkItem.objects.filter(object_id=made.pk).exists()
    assert list(audits.request_in_queue()) == []


def call_from_nowhere():
    IncomingCall.objects.create(
        connection_id=999_999, call_id="x", phone="+7", state="ringing", started_at="2026-03-01T10:00Z"
    )


CORRUPTIONS = [
    ("callcenters.request-in-queue", lambda: WorkItem.objects.filter(kind=requests.KIND).delete()),
    ("callcenters.request-in-queue", lambda: CustomerRequest.objects.all().delete()),
    ("core.reference-exists", call_from_nowhere),
]


@pytest.mark.parametrize(("rule", "corrupt"), CORRUPTIONS)
def test_audit_finds_planted_corruption(partner, rule, corrupt):
    customer = customers.register(phone="+79161234577")
    requests.open_request(customer=customer, subject="Вопрос", text="…")
    assert len(found(rule, corrupt)) == 1


def test_list_is_made_exported_and_read_back_in_the_console(partner, client_for, staff):
    chosen = customers.register(phone="+79161234501", name="Анна")
    client = staff(partner, "support")
    with in_public():
        asked = {"action": "to_call_list", "_selected_action": str(chosen.pk)}
        assert "Новый обзвон" in client.post("/admin/accounts/customer/", asked).content.decode()
        client.post("/admin/accounts/customer/", {**asked, "name": "Март"})
    made = CallList.objects.get(name="Март")
    with in_public():
        page = f"/admin/callcenters/calllist/{made.pk}/"
        assert "Анна" in client.get(f"{page}change/").content.decode()
        file = client.get(f"{page}csv/").content
        good, bad = rows_of(file), rows_of(file)
        good[0]["Результат"], bad[0]["Результат"] = "отказ", "ура"
        wrong = client.post(f"{page}results/", {"file": io.BytesIO(written(bad))})
        assert "результат «ура» неизвестен" in wrong.content.decode()
        assert client.post(f"{page}results/", {"file": io.BytesIO(written(good))}).status_code == 302
    assert made.tasks.get().result == "refused"
