"""What a provider asks is handed on to the customer: asked once, reminded of, answered by one, and only that."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.accounts import customers, sign_in
from apps.billing import subscriptions
from apps.catalog.models import ProductParameter
from apps.channels.models import ApiKey, Channel, Scope
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.models import WorkItem
from apps.notifications.models import Message
from apps.orders import asking, fulfilment, inquiries, missing
from apps.orders.models import Fulfilment
from apps.providers.models import Provider
from apps.providers.portal import requests
from apps.providers.portal.models import ProviderRequest
from tests.billing.test_cabinet_pages import hidden
from tests.orders.races import Both, Runner, run
from tests.orders.shop import Shop
from tests.orders.test_control_alerts import on_duty
from tests.orders.test_missing import pass_days
from tests.providers.test_portal import API, supplier, system_of
from tests.staff import staff

__all__ = ["run", "staff", "supplier"]
QUESTION = "Серия паспорта?\nИ номер."
ASKED = "Назовите серию и номер паспорта: Анна, без них полис не оформить"


@pytest.fixture
def row(shop: Shop, supplier: Provider) -> Fulfilment:
    """A paid order about which its provider has a question."""
    shop.buy(shop.offer())
    ask(supplier, QUESTION)
    shop.deliver()
    return Fulfilment.objects.get()


def ask(provider: Provider, question: str) -> None:
    requests.inquire(ProviderRequest.objects.get(provider=provider), question, actor="provider")


def request() -> ProviderRequest:
    return ProviderRequest.objects.get(pk=Fulfilment.objects.get().pk)


def hand_on(row: Fulfilment, text: str = ASKED, to: str = QUESTION) -> str:
    """Gives the code under which it is answered."""
    missing.hand_on(row, text, to=to, actor="anna")
    return inquiries.code_of(request())


def is_asked() -> bool:
    return ProviderRequest.objects.get(pk=Fulfilment.objects.earliest("pk").pk).customer_asked_at is not None


def told() -> list[Message]:
    return list(Message.objects.filter(type="provider_question"))


def waits(row: Fulfilment) -> str:
    return "".join(WorkItem.objects.filter(object_id=row.pk).values_list("reason", flat=True))


@pytest.fixture
def cabinet(shop: Shop, row: Fulfilment, client_for: Callable[..., Client]) -> Client:
    made = client_for(shop.partner)
    made.cookies[sign_in.COOKIE] = sign_in._open(row.service.customer)
    return made


def test_from_the_provider_to_the_customer_and_back(
    shop: Shop, supplier: Provider, row: Fulfilment, cabinet: Client, staff: Callable[..., Client]
) -> None:
    support = staff(shop.partner, "support")
    page = f"/admin/orders/fulfilment/{row.pk}/change/"
    assert "Спросить клиента" in support.get(page).content.decode()
    there = f"/admin/orders/fulfilment/{row.pk}/ask-customer/"
    form = support.get(there).content.decode()
    assert "Серия паспорта?" in form
    sent = {**hidden(form), "text": ASKED}
    assert [support.post(there, sent).status_code for _press in range(2)] == [302, 302]
    [letter] = told()
    assert ASKED in letter.text
    assert f"/cabinet/services/{row.service_id}/data/" in letter.text
    assert "клиента спросили" in waits(row)
    assert ASKED not in waits(row)
    box = f"answer_{inquiries.code_of(request())}"

    subscription = f"/cabinet/subscriptions/{row.service.subscription_id}/"
    assert "Ответить на вопрос поставщика" in cabinet.get(subscription).content.decode()
    data = f"/cabinet/services/{row.service_id}/data/"
    assert ASKED in cabinet.get(data).content.decode()
    assert cabinet.post(data, {box: " "}).status_code == 400
    answered = cabinet.post(data, {box: "45 11 № 203040"}, follow=True)
    assert "поставщик получил ответ" in answered.content.decode()
    seen = system_of(supplier).get(f"{API}requests/{row.pk}/").json()
    assert (seen["state"], seen["answer"]) == ("pending", "45 11 № 203040")
    assert not WorkItem.objects.filter(object_id=row.pk).exists()
    assert "Спросить клиента" not in support.get(page).content.decode()
    # It is the provider's: nothing of it stays with the service.
    row.service.refresh_from_db()
    assert row.service.answers == {}
    assert "Ответить на вопрос" not in cabinet.get(subscription).content.decode()

    requests.approve(request(), key="ПОЛИС-7", actor="provider")
    shop.deliver()
    row.refresh_from_db()
    assert (row.state, row.service.customer.orders.get().state) == ("done", "completed")
    assert list(audit.run([shop.partner.pk])) == []


def test_the_partners_system_answers_for_its_customer(
    shop: Shop, row: Fulfilment, client_for: Callable[..., Client]
) -> None:
    client = client_for(shop.partner)
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), Scope.values, name="Ключ")
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {text}"

    def waiting() -> Any:
        return client.get("/api/v1/questions/").json()["results"]

    assert waiting() == []
    code = hand_on(row)
    [one] = waiting()
    [question] = one["questions"]
    assert (one["id"], question["code"], question["name"]) == (str(row.service_id), code, ASKED)
    there = f"/api/v1/questions/{row.service_id}/answer/"
    for wrong in ({}, {code: ""}, {"policy": 1}, {code: "x" * 2001}):
        answer = client.post(there, {"answers": wrong}, "application/json")
        assert (answer.status_code, answer.json()["type"].endswith("#bad_answers")) == (400, True), wrong
    right = {"answers": {code: "45 11"}}
    assert client.post(there, right, "application/json").status_code == 204
    assert (request().state, request().answer, waiting()) == ("pending", "45 11", [])
    late = client.post(there, {"answers": {code: "99 99"}}, "application/json")
    assert (late.status_code, late.json()["type"].endswith("#not_inquiring")) == (409, True)


def test_who_is_silent_is_reminded_and_then_those_on_duty_hear_of_it(shop: Shop, row: Fulfilment) -> None:
    on_duty(shop.partner)
    hand_on(row)
    since = clock.local(clock.now())
    pass_days(shop, 1.1)
    assert len(told()) == 2
    missing.remind(row.pk)
    assert len(told()) == 2
    pass_days(shop, 2)
    assert len(told()) == 3
    [alert] = [one for one in Message.objects.filter(type="staff_alert") if "не отвечает" in one.text]
    assert "Поставщик ждёт ответа" in alert.text
    assert ASKED not in alert.text
    assert f"не отвечает с {since:%d.%m.%Y}" in waits(row)
    pass_days(shop, 3)
    assert len(told()) == 3
    assert is_asked()


def test_staff_who_know_the_answer_spare_the_customer(shop: Shop, row: Fulfilment, cabinet: Client) -> None:
    box = f"answer_{hand_on(row)}"
    inquiries.answer(row, "45 11", to=QUESTION, actor="anna")
    late = cabinet.post(f"/cabinet/services/{row.service_id}/data/", {box: "99 99"}, follow=True)
    assert "Ответ уже не нужен" in late.content.decode()
    assert request().answer == "45 11"
    pass_days(shop, 1.1)
    assert len(told()) == 1


def test_a_provider_that_decides_without_an_answer_is_asked_no_more_about(
    shop: Shop, row: Fulfilment, cabinet: Client
) -> None:
    box = f"answer_{hand_on(row)}"
    requests.approve(request(), key="ПОЛИС-7", actor="provider")
    # Before the news of it came.
    late = cabinet.post(f"/cabinet/services/{row.service_id}/data/", {box: "45 11"}, follow=True)
    assert "Ответ уже не нужен" in late.content.decode()
    assert request().answer == ""
    shop.deliver()
    assert not is_asked()
    with pytest.raises(Refused, match="уже не спрашивает"):
        hand_on(row)
    assert list(audit.run([shop.partner.pk])) == []


def test_another_question_is_not_answered_by_what_was_said_to_the_first(
    shop: Shop, supplier: Provider, row: Fulfilment, cabinet: Client
) -> None:
    service, page = row.service, f"/cabinet/services/{row.service_id}/data/"
    first = hand_on(row)
    ask(supplier, "Кто будет вторым водителем?")
    with pytest.raises(Refused, match="уже не спрашивает"):
        asking.tell(service, {first: "45 11"})
    with pytest.raises(Refused, match="уже не спрашивает"):
        inquiries.answer(row, "45 11", to=QUESTION, actor="anna")
    shop.deliver()
    assert "Кто будет вторым водителем?" in waits(row)
    assert asking.questions(service) == []
    second = hand_on(row, "Кто ещё поведёт машину?", to="Кто будет вторым водителем?")
    # A page that was opened before, and a system that has read the question before.
    with pytest.raises(Refused, match="уже не спрашивает"):
        asking.tell(service, {first: "45 11"})
    changed = cabinet.post(page, {f"answer_{first}": "45 11"})
    text = changed.content.decode()
    assert (changed.status_code, "Вопрос изменился" in text, "45 11" in text) == (400, True, True)
    assert (request().state, request().answer) == ("inquiring", "")
    asking.tell(service, {second: "Пётр"})
    assert (request().state, request().answer, len(told())) == ("pending", "Пётр", 2)


def test_data_for_handing_out_lose_nothing_to_a_late_answer(
    shop: Shop, row: Fulfilment, staff: Callable[..., Client]
) -> None:
    """Staff write down what the customer says on the phone, and it was answered meanwhile."""
    service = row.service
    ProductParameter.objects.create(
        product_id=service.product_id,
        code="note",
        name={"ru": "Пожелание"},
        kind="string",
        asked_at="fulfilment",
    )
    asking.tell(service, {"note": "Звонить вечером"})
    code, support = hand_on(row), staff(shop.partner, "support")
    page = f"/admin/orders/fulfilment/{row.pk}/asked/"
    assert ASKED in support.get(page).content.decode()
    inquiries.answer(row, "45 11", to=QUESTION, actor="anna")
    late = support.post(page, {code: "99 99"}).content.decode()
    assert ("уже не спрашивает" in late, "99 99" in late) == (True, True)
    service.refresh_from_db()
    assert (service.answers, request().answer) == ({"note": "Звонить вечером"}, "45 11")


def test_what_staff_hold_or_have_handed_up_keeps_its_place_in_their_queue(
    shop: Shop, row: Fulfilment
) -> None:
    fulfilment.hold(row, "Клиент в отъезде", actor="anna")
    before = waits(row)
    code = hand_on(row)
    asking.tell(row.service, {code: "45 11"})
    assert (waits(row), request().answer) == (before, "45 11")
    row.refresh_from_db()
    assert row.state == "held"


def test_who_has_the_service_no_more_is_asked_nothing(
    shop: Shop, row: Fulfilment, staff: Callable[..., Client]
) -> None:
    hand_on(row)
    other = shop.customer("petr")
    type(row.service).objects.filter(pk=row.service_id).update(customer=other)
    row = Fulfilment.objects.select_related("service").get()
    assert (asking.questions(row.service), inquiries.services_asked()) == ([], [])
    pass_days(shop, 1.1)
    assert len(told()) == 1
    with pytest.raises(Refused, match="ответьте поставщику сами"):
        hand_on(row)
    page = staff(shop.partner, "support").get(f"/admin/orders/fulfilment/{row.pk}/change/").content.decode()
    assert ("Ответить поставщику" in page, "Спросить клиента" in page) == (True, False)


def test_a_question_about_taking_back_is_for_staff(shop: Shop, supplier: Provider) -> None:
    subscription = shop.buy(shop.offer())
    requests.approve(ProviderRequest.objects.get(provider=supplier), key="K-1", actor="provider")
    shop.deliver()
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    back = ProviderRequest.objects.get(provider=supplier, kind="cancel")
    requests.inquire(back, "Вернул ли клиент приставку?", actor="provider")
    shop.deliver()
    row = Fulfilment.objects.select_related("service").get(action="cancel")
    assert inquiries.question_of(row) == back
    with pytest.raises(Refused, match="ответьте поставщику сами"):
        hand_on(row, to="Вернул ли клиент приставку?")
    inquiries.answer(row, "Вернул", to="Вернул ли клиент приставку?", actor="anna")
    back.refresh_from_db()
    assert (back.state, back.answer, waits(row)) == ("pending", "Вернул", "")


def test_the_words_are_for_those_who_act_for_customers(
    shop: Shop, row: Fulfilment, staff: Callable[..., Client]
) -> None:
    page = f"/admin/orders/fulfilment/{row.pk}/change/"
    seen = {
        role: staff(shop.partner, role).get(page).content.decode()
        for role in ("support", "manager", "finance")
    }
    assert {role: "Серия паспорта?" in text for role, text in seen.items()} == {
        "support": True,
        "manager": True,
        "finance": False,
    }


def test_a_page_that_was_opened_before_another_question_answers_nothing(
    shop: Shop, supplier: Provider, row: Fulfilment, staff: Callable[..., Client]
) -> None:
    support = staff(shop.partner, "support")
    pages = {name: f"/admin/orders/fulfilment/{row.pk}/{name}/" for name in ("reply", "ask-customer")}
    opened = {name: hidden(support.get(page).content.decode()) for name, page in pages.items()}
    ask(supplier, "Кто будет вторым водителем?")
    for name, page in pages.items():
        answer = support.post(page, {**opened[name], "text": "Мой текст"}).content.decode()
        assert "уже не спрашивает" in answer
        assert "Мой текст" in answer
        assert "Кто будет вторым водителем?" in answer
        opened[name] = hidden(answer)
    assert (request().state, told()) == ("inquiring", [])
    assert support.post(pages["reply"], {**opened["reply"], "text": "Пётр"}).status_code == 302
    assert request().answer == "Пётр"
    late = support.post(
        pages["ask-customer"], {**opened["ask-customer"], "text": "Мой текст"}
    ).content.decode()
    assert "уже не спрашивает" in late
    assert "Мой текст" in late
    assert support.get(pages["reply"]).status_code == 403


def test_news_of_a_question_that_was_handed_on_already_changes_nothing(
    shop: Shop, supplier: Provider
) -> None:
    shop.buy(shop.offer())
    ask(supplier, QUESTION)
    row = Fulfilment.objects.get()
    hand_on(row)
    shop.deliver()
    assert is_asked()
    assert "клиента спросили" in waits(row)


def test_other_words_take_the_place_of_the_first(shop: Shop, row: Fulfilment) -> None:
    for text in (ASKED, ASKED, "Паспорт: серия и номер?"):
        hand_on(row, text)
        pass_days(shop, 0.1)
    assert (len(told()), request().customer_question) == (2, "Паспорт: серия и номер?")
    assert inquiries.services_asked() == [row.service_id]
    with pytest.raises(Refused, match="Напишите вопрос"):
        hand_on(row, "  ")


def test_a_subscription_that_ends_asks_nothing_more(shop: Shop, row: Fulfilment, cabinet: Client) -> None:
    hand_on(row)
    subscriptions.cancel(row.service.subscription, at_period_end=False, actor="test")
    shop.deliver()
    assert inquiries.services_asked() == []
    assert cabinet.get(f"/cabinet/services/{row.service_id}/data/").status_code == 404
    pass_days(shop, 1.1)
    assert len(told()) == 1
    assert list(audit.run([shop.partner.pk])) == []


def test_nothing_of_it_stays_of_an_erased_customer(shop: Shop, row: Fulfilment) -> None:
    hand_on(row)
    customers.erase(row.service.customer, actor="test")
    shop.deliver()
    one = request()
    assert (one.question, one.customer_question, one.customer_asked_at) == ("", "", None)
    assert list(audit.run([shop.partner.pk])) == []


@Both
def test_staff_and_the_customer_answering_at_once(
    shop: Shop, supplier: Provider, run: Runner, locked: bool
) -> None:
    shop.buy(shop.offer())
    ask(supplier, QUESTION)
    row = Fulfilment.objects.select_related("service").get()
    code = hand_on(row)
    done = run(
        lambda: inquiries.answer(row, "45 11", to=QUESTION, actor="anna"),
        (ProviderRequest, "save"),
        lambda: asking.tell(row.service, {code: "99 99"}),
        Fulfilment,
        ProviderRequest,
    )
    if locked:
        assert isinstance(done.second, Refused)
        assert request().answer == "45 11"
    else:
        # Both were told that the provider has their answer, and it has one.
        assert not isinstance(done.second, Exception)


@Both
def test_a_provider_deciding_while_its_question_is_handed_on(
    shop: Shop, supplier: Provider, run: Runner, locked: bool
) -> None:
    shop.buy(shop.offer())
    ask(supplier, QUESTION)
    shop.deliver()
    row = Fulfilment.objects.select_related("service").get()

    run(
        lambda: hand_on(row),
        (ProviderRequest, "save"),
        lambda: requests.approve(request(), key="ПОЛИС-7", actor="provider"),
        ProviderRequest,
    )
    # Without the lock it says that the customer is being asked about what is decided.
    assert (request().state, is_asked()) == ("approved", not locked)
