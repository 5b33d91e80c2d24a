"""A provider without any API: asked by letter, it answers on the page of its link, once, and is reminded."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.billing import subscriptions
from apps.catalog import plans
from apps.catalog.models import Offer
from apps.connectors.forms import form_for
from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.fields import Translated
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_public
from apps.orders import asking, fulfilment, inquiries, missing
from apps.orders import fulfilment as outcomes
from apps.orders.models import Fulfilment
from apps.payments.models import Refund
from apps.providers.models import Provider
from apps.providers.portal import letters, requests
from apps.providers.portal.by_letter import ByLetter
from apps.providers.portal.models import ProviderRequest, RequestLetter
from apps.sandbox.control import Control
from tests.orders.fixtures import shop
from tests.orders.shop import Shop
from tests.planted import execute, found

__all__ = ["shop"]
PATH = "apps.providers.portal.by_letter.ByLetter"


class Asking(Client):
    """At the public host; the test goes on where it was."""

    def request(self, **request: Any) -> Any:
        with in_public():
            return super().request(**request)


@pytest.fixture
def supplier(shop: Shop, mailbox: Control) -> Provider:
    """The shop's provider is reached by letter."""
    line = Connection.objects.create(
        kind="provider",
        connector=PATH,
        name=f"Письма {shop.partner.slug}",
        is_test=True,
        config={"to": f"orders@{shop.partner.slug}.example", "answer_hours": 24, "link_days": 14},
    )
    shop.provider.test_connection = line
    shop.provider.save()
    return shop.provider


def box(shop: Shop, mailbox: Control) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mailbox.messages(to=f"orders@{shop.partner.slug}.example")
    return found


def link(letter: dict[str, Any]) -> str:
    found = re.search(r"/provider/r/\S+", letter["text"])
    assert found, letter
    return found.group()


def page() -> Client:
    return Asking(SERVER_NAME="localhost", enforce_csrf_checks=False)


def test_a_letter_is_answered_by_its_link_and_the_customer_has_it(
    shop: Shop, supplier: Provider, mailbox: Control
) -> None:
    subscription = shop.buy(shop.offer())
    [letter] = box(shop, mailbox)
    row = ProviderRequest.objects.get(provider=supplier)
    assert (row.sku in letter["subject"], str(row.pk) in letter["text"]) == (True, True)
    url = link(letter)
    opened = page().get(url)
    assert (opened.status_code, opened["Referrer-Policy"]) == (200, "no-referrer")
    assert row.sku in opened.content.decode()
    # A mail server looks at every link: that decides nothing.
    row.refresh_from_db()
    assert row.state == "pending"
    assert page().post(url, {"do": "approve"}).status_code == 302
    assert ProviderRequest.objects.get(pk=row.pk).state == "pending", "a new service opens by something"
    assert page().post(url, {"do": "approve", "key": "ПОЛИС-7"}).status_code == 302
    shop.deliver()
    service = shop.service(subscription)
    assert (service.state, service.key) == ("active", "ПОЛИС-7")
    again = page().post(url, {"do": "fail", "fail-text": "передумали"})
    assert again.status_code == 302
    row.refresh_from_db()
    assert row.state == "approved"
    told = page().get(url).content.decode()
    assert "ПОЛИС-7" not in told
    assert row.sku not in told.split("<main", 1)[1].split("</h1>")[1]
    assert list(audit.run([shop.partner.pk])) == []


def test_a_question_is_answered_by_letter_too_and_a_refusal_goes_to_staff(
    shop: Shop, supplier: Provider, mailbox: Control
) -> None:
    shop.buy(shop.offer())
    [letter] = box(shop, mailbox)
    page().post(link(letter), {"do": "ask", "ask-text": "Серия паспорта?"})
    shop.deliver()
    row = ProviderRequest.objects.get(provider=supplier)
    assert not Due.objects.filter(kind=letters.REMIND, object_id=row.pk).exists()
    requests.reply(row.pk, "45 11", to="Серия паспорта?", actor="anna")
    shop.deliver()
    _first, second = box(shop, mailbox)
    assert "45 11" not in second["text"], "what may be personal stands on the page only"
    assert "45 11" in page().get(link(second)).content.decode()
    page().post(link(second), {"do": "fail", "fail-text": "Не подходит"})
    shop.deliver()
    assert Fulfilment.objects.get().state == "needs_staff"


def test_an_unanswered_letter_is_followed_by_three_and_then_by_staff(
    shop: Shop, supplier: Provider, mailbox: Control
) -> None:
    shop.buy(shop.offer())
    row = ProviderRequest.objects.get(provider=supplier)
    for days in range(1, 7):
        shop.move(shop.partner, clock.now() + timedelta(days=1))
        told = [one["subject"] for one in box(shop, mailbox)]
        assert len(told) == min(1 + days, 4), told
    assert "Напоминаем" in told[-1]
    [item] = WorkItem.objects.filter(partner_id=shop.partner.pk, kind=letters.KIND, object_id=row.pk)
    assert "не отвечает" in item.reason
    page().post(link(box(shop, mailbox)[0]), {"do": "approve", "url": "https://a.example/1"})
    assert not WorkItem.objects.filter(kind=letters.KIND, object_id=row.pk).exists()


def test_a_letter_whose_answer_is_lost_is_sent_again_as_the_same(
    shop: Shop, supplier: Provider, mailbox: Control
) -> None:
    address = f"orders@{shop.partner.slug}.example"
    mailbox.fault("drop_answer", match={"operation": "letter", "to": address})
    shop.buy(shop.offer())
    sent = RequestLetter.objects.get(request__partner_id=shop.partner.pk)
    assert (sent.state, sent.sent_at) == ("unknown", None)
    shop.hurry()
    ids = {one["headers"]["Message-ID"] for one in box(shop, mailbox)}
    sent.refresh_from_db()
    assert (sent.state, len(ids), len(box(shop, mailbox))) == ("sent", 1, 2)
    shop.hurry()
    assert len(box(shop, mailbox)) == 2


def test_what_is_called_off_is_said_and_its_link_decides_nothing(
    shop: Shop, supplier: Provider, mailbox: Control
) -> None:
    subscription = shop.buy(shop.offer())
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    first, second = box(shop, mailbox)
    assert "отозван" in second["subject"]
    page().post(link(first), {"do": "approve", "key": "K"})
    assert ProviderRequest.objects.get(provider=supplier).state == "canceled"
    assert shop.service(subscription).state == "cancelled"


def test_links_of_strangers_of_old_addresses_and_of_old_days(
    shop: Shop, supplier: Provider, mailbox: Control
) -> None:
    shop.buy(shop.offer())
    url = link(box(shop, mailbox)[0])
    row = ProviderRequest.objects.get(provider=supplier)
    forged = url[:-3] + ("AAA/" if not url.endswith("AAA/") else "BBB/")
    assert page().get(forged).status_code == 404
    assert page().post(forged, {"do": "approve", "key": "K"}).status_code == 404
    line = row.connection
    assert line is not None
    there = dict(line.config)
    Connection.objects.filter(pk=line.pk).update(is_enabled=False)
    assert page().post(url, {"do": "approve", "key": "K"}).status_code == 410
    line.config = {**there, "to": "others@elsewhere.example"}
    line.save()
    assert page().post(url, {"do": "approve", "key": "K"}).status_code == 410
    line.config = {**there, "link_days": -1}
    line.save()
    assert page().get(url).status_code == 410
    # It may be asked for anew, to the same mail box; the old one decides nothing.
    assert page().post(url, {"do": "approve", "key": "K"}).status_code == 410
    row.refresh_from_db()
    assert (row.state, row.letters.count()) == ("pending", 2)
    assert [page().post(url).status_code for _time in range(4)][-1] == 429


def test_guessing_is_counted(shop: Shop, supplier: Provider) -> None:
    client = Asking(SERVER_NAME="localhost", REMOTE_ADDR="198.51.100.77")
    said = [client.get(f"/provider/r/guess-{n}/").status_code for n in range(31)]
    assert (said[0], said[-1]) == (404, 429)


def test_switched_off_letters_wait_and_a_wrong_text_is_refused_in_the_form(
    shop: Shop, supplier: Provider, mailbox: Control
) -> None:
    line = supplier.test_connection
    assert line is not None
    order = shop.order(shop.offer())
    Connection.objects.filter(pk=line.pk).update(is_enabled=False)
    shop.pay(order)
    assert (box(shop, mailbox), Fulfilment.objects.get().state) == ([], "retry")
    Connection.objects.filter(pk=line.pk).update(is_enabled=True)
    shop.hurry()
    assert len(box(shop, mailbox)) == 1
    given = {"name": "Письма", "is_enabled": True, "config_to": "nobody", "config_answer_hours": 0}
    given |= {
        "config_link_days": 14,
        "config_sender_name": "A",
        "config_subject": "$wat",
        "config_text": "$what",
    }
    form = form_for(PATH, ByLetter)(given)
    assert not form.is_valid()
    assert {"config_to", "config_answer_hours", "config_subject", "config_text"} == set(form.errors)


@pytest.mark.parametrize("point", letters.FAULT_POINTS)
def test_a_crash_at_each_boundary_leaves_one_letter_of_one_number(
    shop: Shop, supplier: Provider, mailbox: Control, point: str
) -> None:
    order = shop.order(shop.offer())
    with faults.crash_at(point), pytest.raises(faults.Crash):
        shop.pay(order)
    shop.hurry()
    shop.hurry()
    letter = RequestLetter.objects.get(request__partner_id=shop.partner.pk)
    told = box(shop, mailbox)
    assert (letter.state, len({one["headers"]["Message-ID"] for one in told})) == ("sent", 1)
    assert len(told) == (2 if point == "providers.letter-sent" else 1)
    assert list(audit.run([shop.partner.pk])) == []


CORRUPTIONS = [
    ("providers.asked-by-letter", "DELETE FROM providers_requestletter"),
    ("providers.asked-by-letter", "UPDATE providers_requestletter SET state = 'queued'"),
    ("providers.asked-by-letter", "DELETE FROM core_due WHERE kind = 'providers.remind'"),
]


def test_the_auditor_finds_what_nobody_writes_or_looks_at(shop: Shop, supplier: Provider) -> None:
    shop.buy(shop.offer())
    for rule, sql in CORRUPTIONS:
        assert found(rule, lambda sql=sql: execute(sql)), sql  # type: ignore[misc]


@pytest.fixture
def stepped(shop: Shop, mailbox: Control) -> Offer:
    """The product's provider speaks an API; before it somebody else is asked by letter to register the customer."""
    line = Connection.objects.create(
        kind="provider",
        connector=PATH,
        name=f"Реестр {shop.partner.slug}",
        is_test=True,
        config={"to": f"orders@{shop.partner.slug}.example", "answer_hours": 24, "link_days": 14},
    )
    registry = Provider.objects.create(
        code=f"{shop.partner.slug}-registry", name=f"Реестр {shop.partner.slug}", test_connection=line
    )
    offer = shop.offer()
    steps = [
        plans.Step("register", Translated(ru="Внести в реестр"), provider_id=registry.pk, undo="provider"),
        plans.Step("provision", Translated(ru="Выдать")),
    ]
    plans.save(offer.tariff.product, steps, actor="admin")
    return Offer.objects.get(pk=offer.pk)


def test_a_step_of_a_plan_at_another_provider_goes_by_letter(
    shop: Shop, stepped: Offer, mailbox: Control, provider_sim: Control
) -> None:
    subscription = shop.buy(stepped)
    shop.deliver()
    [letter] = box(shop, mailbox)
    row = ProviderRequest.objects.get(partner_id=shop.partner.pk)
    fulfilment = Fulfilment.objects.get(action="provision")
    task = fulfilment.tasks.get(position=1)
    assert (row.pk, row.request_id, row.kind, row.state) == (task.pk, task.pk, "register", "pending")
    assert letter["subject"].startswith("Зарегистрировать:")
    # A question goes to staff, who hand it on to the customer, and the answer back by letter.
    page().post(link(letter), {"do": "ask", "ask-text": "Какой ИНН?"})
    shop.deliver()
    [item] = WorkItem.objects.filter(partner_id=shop.partner.pk, object_id=fulfilment.pk)
    assert "Какой ИНН?" in item.reason
    assert inquiries.question_of(fulfilment) == row
    missing.hand_on(fulfilment, "ИНН вашей компании?", to="Какой ИНН?", actor="olga")
    assert inquiries.services_asked() == [fulfilment.service_id]
    row.refresh_from_db()
    asking.tell(fulfilment.service, {inquiries.code_of(row): "7707083893"})
    assert WorkItem.objects.filter(object_id=fulfilment.pk).count() == 0
    shop.deliver()
    # It gives the customer nothing, so that nothing has to be written.
    opened = page().get(link(letter)).content.decode()
    assert "approve-key" not in opened
    assert page().post(link(letter), {"do": "approve"}).status_code == 302
    shop.deliver()
    row.refresh_from_db()
    service = shop.service(subscription)
    assert (row.state, service.state) == ("approved", "active")
    assert service.key
    assert [one.state for one in fulfilment.tasks.order_by("position")] == ["done", "done"]
    assert [str(one) for one in audit.run([shop.partner.pk])] == []


def test_the_customer_is_asked_nothing_about_a_step_that_was_skipped(
    shop: Shop, stepped: Offer, mailbox: Control, provider_sim: Control
) -> None:
    shop.buy(stepped)
    shop.deliver()
    [letter] = box(shop, mailbox)
    page().post(link(letter), {"do": "ask", "ask-text": "Какой ИНН?"})
    shop.deliver()
    one = Fulfilment.objects.get(action="provision")
    missing.hand_on(one, "ИНН вашей компании?", to="Какой ИНН?", actor="olga")
    assert inquiries.services_asked() == [one.service_id]
    fulfilment.skip(one, "Внесли сами", actor="olga")
    one.refresh_from_db()
    assert (inquiries.services_asked(), asking.questions(one.service)) == ([], [])
    with pytest.raises(Refused, match="уже не спрашивает"):
        inquiries.answer(one, "7707083893", to="Какой ИНН?", actor="olga")
    shop.deliver()
    one.refresh_from_db()
    assert one.state == "done"


def test_a_step_by_letter_is_undone_by_letter_where_a_later_one_fails_for_good(
    shop: Shop, stepped: Offer, mailbox: Control, provider_sim: Control
) -> None:
    provider_sim.fault("out_of_stock", times=1000, match={"operation": "activate"})
    shop.buy(stepped)
    shop.deliver()
    [letter] = box(shop, mailbox)
    page().post(link(letter), {"do": "approve"})
    shop.deliver()
    fulfilment = Fulfilment.objects.get(action="provision")
    assert fulfilment.step == 2
    outcomes.fail(fulfilment, "Ключей не будет", actor="olga")
    shop.deliver()
    asked, undo = ProviderRequest.objects.filter(partner_id=shop.partner.pk).order_by("created_at")
    assert (asked.kind, undo.kind, undo.request_id) == ("register", "cancel", asked.pk)
    fulfilment.refresh_from_db()
    assert fulfilment.state == "compensating"
    assert not Refund.objects.exists()
    [_first, second] = box(shop, mailbox)
    assert second["subject"].startswith("Отключить:")
    page().post(link(second), {"do": "approve"})
    shop.hurry()
    shop.hurry()
    fulfilment.refresh_from_db()
    assert (fulfilment.state, fulfilment.tasks.get(position=1).state) == ("failed", "compensated")
    assert Refund.objects.get().amount == fulfilment.order.total
    assert [str(one) for one in audit.run([shop.partner.pk])] == []


def test_a_step_that_is_not_decided_yet_is_called_off_by_letter(
    shop: Shop, stepped: Offer, mailbox: Control
) -> None:
    shop.buy(stepped)
    shop.deliver()
    outcomes.fail(Fulfilment.objects.get(action="provision"), "Клиент передумал", actor="olga")
    shop.deliver()
    row = ProviderRequest.objects.get(partner_id=shop.partner.pk)
    assert row.state == "canceled"
    assert [one["subject"].split(":")[0] for one in box(shop, mailbox)] == [
        "Зарегистрировать",
        "Запрос отозван",
    ]
    assert Fulfilment.objects.get(action="provision").state == "failed"
