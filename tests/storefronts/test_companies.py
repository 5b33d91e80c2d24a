"""A company buys in the storefront: its requisites are checked, it pays by bank, and gets its closing documents."""

import re

import pytest

from apps.accounts import customers
from apps.accounts.models import Company, Customer
from apps.billing.models import Collection, InvoiceState, SubscriptionState
from apps.billing.paperwork import Document, DocumentKind, OutsidePayment
from apps.catalog.models.offers import Payer
from apps.core import clock, due
from apps.core.models import Due
from apps.core.tenancy import in_public
from apps.orders.models import Order
from apps.partners.models import LegalEntity, Partner
from apps.settlements.models import Allocation, BankLine, BankStatement
from apps.storefronts.models import Checkout
from tests.settlements.statement_file import Came, written

INN, WRONG_INN = "7704217370", "7704217371"
ROMASHKA = {
    "company_name": "ООО «Ромашка»",
    "company_inn": INN,
    "company_kpp": "770401001",
    "company_address": "Москва, ул. Новый Арбат, 11",
    "company_documents_email": "buh@romashka.example",
}


@pytest.fixture
def account(shop):
    """The seller's account, of this test alone; what was loaded goes before its partner does."""
    number = f"4070281055{shop.partner.pk:010d}"
    entity = LegalEntity.objects.filter(pk=shop.partner.legal_entity_id)
    before = entity.get().account
    entity.update(account=number)
    yield number
    with in_public():
        mine = BankLine.objects.filter(statement__account=number)
        Allocation.objects.filter(line__in=mine).delete()
        mine.delete()
        BankStatement.objects.filter(account=number).delete()
        entity.update(account=before)


def load_statement(page, address, content):
    """Finance loads the bank's file on the console's page."""
    page.goto(f"{address}/admin/settlements/bankstatement/add/")
    file = {"name": "kl_to_1c.txt", "mimeType": "text/plain", "buffer": content}
    page.locator("[type=file]").set_input_files(file)
    page.get_by_role("button", name="Загрузить").click()
    page.get_by_text("отнесено на счета: 1").first.wait_for()


def on_the_day_of(row: Due, partner: Partner) -> None:
    """The partner lives on to the day of a due row, which is done then."""
    partner.clock_at = row.due_at
    with in_public():
        Partner.objects.filter(pk=partner.pk).update(clock_at=row.due_at)
        Due.objects.filter(pk=row.pk).update(is_sandbox=True)
    for claimed in due.claim(10, partner_id=partner.pk, until=row.due_at):
        due.run(claimed)


@pytest.mark.browser
def test_a_company_orders_on_a_phone_pays_by_bank_and_gets_its_act(
    shop, gateway, account, site, chromium, desk, deliver
):
    complaints = []
    phone = chromium.new_context(viewport={"width": 390, "height": 844}, locale="ru-RU", has_touch=True)
    phone.set_default_timeout(60_000)
    page = phone.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
    page.goto(f"{site(shop.partner)}/checkout/{shop.offer.pk}/")
    page.get_by_role("link", name="Для организации").click()
    page.get_by_label("Почта", exact=True).fill("anna@romashka.example")
    page.get_by_label("Юридическое название").fill("ООО «Ромашка»")
    page.get_by_label("ИНН").fill(WRONG_INN)
    page.get_by_label("Юридический адрес").fill("Москва, ул. Новый Арбат, 11")
    page.get_by_label("Почта для счетов и актов").fill("buh@romashka.example")
    page.get_by_label(re.compile("Согласны получать счёт")).check()
    page.get_by_label(re.compile("Принимаю условия")).check()
    page.get_by_role("button", name=re.compile("Получить счёт на 149")).click()
    page.get_by_text("контрольная цифра не сошлась").wait_for()
    assert not Customer.objects.exists()
    page.get_by_label("ИНН").fill(INN)
    page.get_by_role("button", name=re.compile("Получить счёт")).click()
    page.get_by_text("КПП: 9 знаков").wait_for()
    page.get_by_label("КПП").fill("770401001")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name=re.compile("Получить счёт")).dblclick()
    page.get_by_role("heading", name="Счёт выставлен").wait_for()
    order = Order.objects.get()
    assert order.invoice.number in page.content()
    assert (order.invoice.collection, order.invoice.state) == (Collection.INVOICE, InvoiceState.OPEN)
    assert (order.item.subscription.state, order.payment()) == (SubscriptionState.PENDING, None)
    company = Company.objects.get()
    assert (company.inn, company.documents_email) == (INN, "buh@romashka.example")
    assert [one["purpose"] for one in Checkout.objects.get().consents] == ["invoice", "terms"]

    came = Came(
        f"{order.invoice.due_money.amount}",
        f"Оплата по счету № {order.invoice.number}. В т.ч. НДС 22%",
        number="7",
        inn=INN,
        name="ООО Ромашка",
    )
    content = written(came, start=clock.today(), account=account)
    public = site(shop.partner).replace(shop.partner.host, "localhost")
    load_statement(desk(public, None, role="finance"), public, content)
    deliver()
    paid = OutsidePayment.objects.get()
    assert (paid.invoice_id, paid.total, paid.reference) == (order.invoice_id, order.invoice.due_money, "7")
    page.reload()
    assert page.get_by_test_id("key").inner_text() == f"SHIELD-M{shop.number}-0"
    order.item.subscription.refresh_from_db()
    act = Due.objects.get(kind="billing.act", object_id=order.invoice_id)
    on_the_day_of(act, shop.partner)
    deliver()
    document = Document.objects.get(kind=DocumentKind.ACT)
    assert (document.total, document.period_end) == (order.total, order.item.subscription.current_period_end)
    assert (document.parties["buyer"]["inn"], document.parties["buyer"]["kpp"]) == (INN, "770401001")
    assert complaints == []
    phone.close()


def as_company(browser, offer, form_of, **answers):
    address = f"/checkout/{offer.pk}/?as=company"
    return browser.post(address, form_of(browser.get(address), **{**ROMASHKA, **answers}))


def test_nobody_makes_a_company_of_somebody_elses_phone(shop, client_for, form_of):
    known = customers.register(email="anna@example.com")
    answer = as_company(client_for(shop.partner), shop.offer, form_of)
    assert answer.status_code == 409
    assert "войдите в кабинет" in answer.content.decode()
    assert not Company.objects.filter(customer=known).exists()
    assert not Order.objects.exists()
    assert not Checkout.objects.exists()


def test_what_only_companies_may_buy_asks_for_requisites_at_once(shop, client_for, form_of):
    with in_public():
        shop.offer.payer = Payer.INVOICE
        shop.offer.save(update_fields=["payer"])
    browser = client_for(shop.partner)
    page = browser.get(f"/checkout/{shop.offer.pk}/")
    assert "Реквизиты для счёта и актов" in page.content.decode()
    assert "Для себя" not in page.content.decode()
    refused = browser.post(f"/checkout/{shop.offer.pk}/", form_of(page))
    assert refused.status_code == 400
    assert not Order.objects.exists()
    sold = browser.post(f"/checkout/{shop.offer.pk}/", form_of(page, **ROMASHKA))
    assert sold.status_code == 302
    assert Order.objects.get().invoice.collection == Collection.INVOICE


def test_a_trial_that_wants_a_card_is_not_given_for_a_typed_inn(shop, client_for, form_of):
    assert as_company(client_for(shop.partner), shop.trial, form_of).status_code == 302
    order = Order.objects.get()
    assert (order.item.subscription.state, order.total) == (SubscriptionState.PENDING, shop.trial.unit_price)
