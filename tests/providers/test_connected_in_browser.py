"""A new provider is connected in the console alone: from an OpenAPI file, from pasted examples, with callbacks.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from apps.catalog.models import Offer, Product
from apps.connectors.models import Connection, InboundMessage
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner, in_public
from apps.orders.models import Fulfilment, Service
from apps.providers import definitions
from apps.providers.models import DefinitionVersion, Provider
from apps.sandbox.control import Control
from tests.conftest import eventually
from tests.orders.shop import Shop
from tests.providers.declared import CALLBACK_SECRET, LOGIN, SECRET
from tests.test_browser_walk import _sign_in, page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
OPENAPI = Path(__file__).resolve().parents[2] / "apps" / "sandbox" / "foreign" / "openapi.json"


def keep(page: Any, name: str) -> None:
    """Desktop and phone, light and dark."""
    if not (folder := os.environ.get("ARMOR_SHOTS")):
        return
    page.wait_for_timeout(700)
    for width, suffix in ((1440, ""), (390, "-phone")):
        page.set_viewport_size({"width": width, "height": 900})
        page.set_viewport_size({"width": width, "height": page.evaluate("document.body.scrollHeight")})
        page.screenshot(path=Path(folder) / f"{name}{suffix}.png")
        page.evaluate("document.documentElement.classList.add('dark')")
        page.screenshot(path=Path(folder) / f"{name}{suffix}-dark.png")
        page.evaluate("document.documentElement.classList.remove('dark')")
    page.set_viewport_size({"width": 1280, "height": 900})


def fits_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})


def step(page: Any, name: str) -> None:
    page.get_by_role("navigation", name="Шаги").get_by_role("link", name=name).click()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()


def said(page: Any) -> str:
    return str(page.locator("main, body").first.inner_text())


def try_out(page: Any, operation: str, verdict: str) -> None:
    page.locator(f"[name=operation][value={operation}] + span").click()
    press(page, "Отправить")
    page.locator("[data-verdict]", has_text=verdict).wait_for()


def launch(page: Any, provider: str) -> None:
    """Tested on what was recorded, then live."""
    press(page, "Проверить на записанном обмене")
    page.get_by_text("Записанный обмен прочитан верно: версию можно запускать").wait_for()
    step(page, "Запуск")
    page.locator("[name=provider_name]").fill(provider)
    keep(page, f"live-{provider}")
    press(page, "Запустить")
    page.get_by_text("Запущено: новые заказы идут через").wait_for()


def sold(shop: Shop, provider_name: str) -> Offer:
    """An offer of a product that the new provider supplies."""
    offer = shop.offer()
    with in_public():
        provider = Provider.objects.get(name=provider_name)
        assert provider.connection is not None
        assert provider.connection.config["secret"] == SECRET
    Product.objects.filter(pk=offer.tariff.product_id).update(provider=provider)
    return offer


def one_sold(shop: Shop, foreign: Control, protocol: str, offer: Offer) -> Service:
    """A customer buys it, and has what the provider gave; asked once."""
    subscription = shop.buy(offer)
    with in_partner(shop.partner):

        def delivered() -> Service | None:
            shop.hurry()
            return Service.objects.filter(subscription=subscription).exclude(key="").first()

        service = eventually(delivered, pause=0.3)
        rows = [
            one
            for one in foreign.register(protocol=protocol)["made"]
            if one["ref"] == str(service.request_id)
        ]
        assert [one["key"] for one in rows] == [service.key]
        assert Fulfilment.objects.get(service=service).state == "done"
    found: Service = service
    return found


def no_secret_is_described(name: str) -> None:
    with in_public():
        version = DefinitionVersion.objects.get(definition__name=name, state="live")
        told = f"{version.document} {version.exchange} {definitions.exported(version)}"
    assert SECRET not in told
    assert CALLBACK_SECRET not in told


def test_rest_with_hmac_from_its_openapi(page: Any, site: str, shop: Shop, foreign: Control) -> None:
    name, host = "Щит антивирус", foreign.base_url
    _sign_in(page, site)
    page.goto(f"{site}/admin/providers/connectordefinition/add/")
    page.locator("[name=name]").fill(name)
    keep(page, "new")
    page.locator("[name=openapi_file]").set_input_files(OPENAPI)
    press(page, "Дальше")
    page.get_by_text("Что нашли в примере").wait_for()
    assert "{{ extension_id }}" in said(page)
    page.locator("[name=base_url]").fill(f"{host}/rest/v2")
    keep(page, "found")
    fits_a_phone(page)
    press(page, "Создать и открыть редактор")
    # The signature is described as the provider's manual has it.
    page.locator("[name=auth_message]").fill("{{ timestamp }}\n{{ method }}\n{{ path }}\n{{ body }}")
    page.locator("[name=auth_headers]").fill("X-Client: {{ login }}\nX-Timestamp: {{ timestamp }}")
    page.locator("[name=login]").fill(LOGIN)
    page.locator("[name=secret]").fill(SECRET)
    keep(page, "access")
    fits_a_phone(page)
    press(page, "Дальше: запросы")
    page.locator("[data-shown]", has_text="externalId").wait_for()
    # A slip is named with its place before anything is saved.
    body = page.locator("[name=body]")
    right = body.input_value()
    body.fill(right.replace("{{ sku }}", "{{ skuu }}"))
    page.locator("[data-problems]", has_text="product: строка 1: поля «skuu» нет").wait_for()
    keep(page, "slip")
    body.fill(right)
    page.locator("[data-problems]").wait_for(state="hidden")
    page.locator("[name=repeat_safe]").check()
    keep(page, "requests")
    fits_a_phone(page)
    press(page, "Дальше: ответ")
    press(page, "Дальше: проба")
    try_out(page, "provision", "✓ выдано")
    assert SECRET not in page.content()
    keep(page, "try")
    fits_a_phone(page)
    for operation, verdict in (("status", "выдано"), ("extend", "выдано"), ("suspend", "приостановлено")):
        try_out(page, operation, verdict)
    try_out(page, "resume", "выдано")
    try_out(page, "cancel", "отключено")
    step(page, "Ответ")
    page.locator("output", has_text="ACTIVE").first.wait_for()
    keep(page, "answer")
    fits_a_phone(page)
    step(page, "Проба")
    launch(page, name)
    keep(page, "launched")
    fits_a_phone(page)
    no_secret_is_described(name)
    service = one_sold(shop, foreign, "rest", sold(shop, name))
    assert service.url.startswith("https://rest.example/a/")


XML_ACTIVATE = """curl -X POST '{host}/xml/gate' -H 'Content-Type: text/xml' \\
  --data-raw '<request>
  <login>armor</login>
  <password>foreign-secret-2026</password>
  <command>activate</command>
  <extId>5f0c9a1e-3c43-4d7e-9b0a-7f3f4a1f0001</extId>
  <tariff>SHIELD-1Y</tariff>
  <till>31.01.2027</till>
</request>'"""
XML_ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<response xmlns="urn:gate:2"><code>0</code><message></message><id>X100001</id>
<extId>5f0c9a1e-3c43-4d7e-9b0a-7f3f4a1f0001</extId><state>1</state><serial>AAAA-BBBB-CCCC-DDDD</serial>
<till>31.01.2027</till></response>"""


def test_xml_from_pasted_examples(page: Any, site: str, shop: Shop, foreign: Control) -> None:
    name = "Кино XML"
    _sign_in(page, site)
    page.goto(f"{site}/admin/providers/connectordefinition/add/")
    page.locator("[name=name]").fill(name)
    page.get_by_role("tab", name="Пример запроса").click()
    activate = XML_ACTIVATE.format(host=foreign.base_url)
    page.locator("[name=curl]").fill(activate)
    page.locator("[name=answer]").fill(XML_ANSWER)
    press(page, "Дальше")
    page.get_by_text("Узнанные значения").wait_for()
    # What was recognised as the access is not shown again.
    assert SECRET not in page.locator(".cd-table").inner_text()
    keep(page, "xml-found")
    press(page, "Создать и открыть редактор")
    assert page.locator("[name=login]").input_value() == LOGIN
    for operation, command in (("status", "status"), ("cancel", "cancel")):
        page.goto(f"{page.url.split('/edit/')[0]}/edit/requests/?operation={operation}")
        pasted = activate.replace(">activate<", f">{command}<").replace("  <tariff>SHIELD-1Y</tariff>\n", "")
        pasted = pasted.replace("  <till>31.01.2027</till>\n", "")
        page.locator("[name=curl]").fill(pasted)
        press(page, "Заполнить")
        page.locator("[data-shown]", has_text=command).wait_for()
    keep(page, "xml-requests")
    step(page, "Ответ")
    page.locator("[name=state_pending]").fill("0")
    page.locator("[name=state_canceled]").fill("2")
    page.locator("[name=state_failed]").fill("9")
    page.locator("[name=code_retry]").fill("300")
    page.locator("[name=code_not_found]").fill("404")
    page.locator("output", has_text="AAAA-BBBB").wait_for()
    keep(page, "xml-answer")
    press(page, "Дальше: проба")
    for operation, verdict in (("provision", "✓ выдано"), ("status", "✓ выдано"), ("cancel", "✓ отключено")):
        try_out(page, operation, verdict)
    assert SECRET not in page.content()
    keep(page, "xml-try")
    launch(page, name)
    no_secret_is_described(name)
    offer = sold(shop, name)
    one_sold(shop, foreign, "xml", offer)
    # Repeated it would be made twice: its lost answer is asked about.
    foreign.fault("drop_answer", match={"operation": "activate"})
    one_sold(shop, foreign, "xml", offer)


LATER_CURL = """curl '{host}/async/api/subscriptions' -H 'Authorization: Bearer tok-example-000' \\
  --json '{{"clientRef": "5f0c9a1e-3c43-4d7e-9b0a-7f3f4a1f0001", "plan": "SHIELD-1Y", "until": "2027-01-31",
  "callbackUrl": "https://armor.example/hooks/1/"}}'"""
LATER_ANSWER = """{"jobId": "A100001", "clientRef": "5f0c9a1e-3c43-4d7e-9b0a-7f3f4a1f0001", "status": "ready",
 "license": {"code": "AAAA-BBBB-CCCC-DDDD", "page": "https://async.example/A100001"}}"""


def test_asynchronous_with_callback_and_polling(page: Any, site: str, shop: Shop, foreign: Control) -> None:
    name = "Облако после звонка"
    _sign_in(page, site)
    page.goto(f"{site}/admin/providers/connectordefinition/add/")
    page.locator("[name=name]").fill(name)
    page.get_by_role("tab", name="Пример запроса").click()
    page.locator("[name=curl]").fill(LATER_CURL.format(host=foreign.base_url))
    page.locator("[name=answer]").fill(LATER_ANSWER)
    press(page, "Дальше")
    press(page, "Создать и открыть редактор")
    page.locator("[name=auth_type]").select_option("oauth2")
    page.locator("[name=auth_token_url]").fill("/async/oauth/token")
    page.locator("[name=login]").fill(LOGIN)
    page.locator("[name=secret]").fill(SECRET)
    page.locator("[name=callback_secret]").fill(CALLBACK_SECRET)
    press(page, "Дальше: запросы")
    page.goto(f"{page.url.split('/edit/')[0]}/edit/requests/?operation=status")
    page.locator("form[data-request] [name=method]").select_option("GET")
    page.locator("[name=path]").fill("/async/api/subscriptions/{{ service_id }}")
    press(page, "Дальше: ответ")
    assert page.locator("[name=path_key]").input_value() == "$.license.code"
    page.locator("[name=state_pending]").fill("in_progress")
    page.locator("[name=state_canceled]").fill("closed")
    page.locator("[name=state_failed]").fill("declined")
    page.locator("[name=path_error]").fill("$.fault")
    page.locator("[name=delivery]").select_option("callback")
    page.locator("[name=poll_seconds]").fill("60")
    page.locator("[name=callback_header]").fill("X-Hub-Signature")
    page.locator("[name=callback_prefix]").fill("sha256=")
    page.locator("[name=callback_encoding]").select_option("base64")
    page.locator("[name=told_request_id]").fill("$.clientRef")
    page.locator("output[data-value=told_request_id]", has_text="5f0c9a1e").wait_for()
    keep(page, "async-answer")
    fits_a_phone(page)
    press(page, "Дальше: проба")
    try_out(page, "provision", "✓ ещё делается")
    page.wait_for_timeout(1000)
    try_out(page, "status", "✓ выдано")
    keep(page, "async-try")
    launch(page, name)
    no_secret_is_described(name)
    offer = sold(shop, name)
    # By its callback: the next question would come in a minute.
    subscription = shop.buy(offer)
    with in_partner(shop.partner):
        service = Service.objects.get(subscription=subscription)
        assert service.key == ""

        def told() -> bool:
            shop.deliver()
            _deliver_public()
            shop.deliver()
            return Service.objects.exclude(key="").filter(pk=service.pk).exists()

        eventually(told, pause=0.3)
    with in_public():
        connection = Connection.objects.get(name=f"{name}: проверка")
        assert InboundMessage.objects.filter(connection=connection, state="done").exists()
    # Where the callback is lost, it is asked.
    foreign.fault("no_webhook", match={"operation": "webhook"})
    one_sold(shop, foreign, "async", offer)
    # A forged one is believed by nobody.
    foreign.fault("forge_webhook", match={"operation": "webhook"})
    one_sold(shop, foreign, "async", offer)
    with in_public():
        rejected = InboundMessage.objects.filter(connection=connection, state="rejected")
        eventually(lambda: (_deliver_public(), rejected.exists())[1])


def _deliver_public() -> None:
    """Messages are read."""
    with in_public():
        run_once(lanes=False)
