"""XML over POST at one address, errors inside of 200; an activation that is repeated is made twice."""

from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web

from apps.sandbox.store import Doc

if TYPE_CHECKING:
    from apps.sandbox.foreign.__main__ import Foreign

STATES = {"active": "1", "pending": "0", "canceled": "2", "failed": "9"}
OK, BUSY, NOT_FOUND, DENIED, REFUSED, BAD = "0", "300", "404", "401", "500", "400"


def add_routes(service: "Foreign", router: web.UrlDispatcher) -> None:
    async def gate(request: web.Request) -> web.StreamResponse:
        content = await request.read()
        try:
            root = ElementTree.fromstring(content)
        except ElementTree.ParseError:
            return said(BAD, "Not XML")
        given = {one.tag: (one.text or "").strip() for one in root}
        facts: Doc = {"operation": given.get("command", ""), "protocol": "xml", "ref": given.get("extId", "")}

        def done() -> web.Response:
            if (given.get("login"), given.get("password")) != (service.login, service.secret):
                return said(DENIED, "Wrong login or password")
            return _done(service, given, facts)

        return await service.under_faults(request, facts, done, lambda: said("-1", "Internal error"))

    router.add_post("/xml/gate", gate)


def said(code: str, message: str = "", doc: Doc | None = None) -> web.Response:
    inside = f"<code>{code}</code><message>{escape(message)}</message>"
    if doc:
        inside += f"<id>{doc['number']}</id><extId>{escape(doc['ref'])}</extId><state>{STATES[doc['state']]}</state>"
        if doc["state"] == "active":
            inside += f"<serial>{doc['key']}</serial><till>{escape(doc['until'])}</till>"
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<response xmlns="urn:gate:2">{inside}</response>'
    return web.Response(text=text, content_type="text/xml")


def _done(service: "Foreign", given: dict[str, str], facts: Doc) -> web.Response:
    command, ref = given.get("command"), given.get("extId", "")
    if command == "activate":
        return _activate(service, given, facts)
    doc = service.found("xml", ref=ref)
    if doc is None:
        return said(NOT_FOUND, "Unknown extId")
    if command == "prolong":
        doc = service.change(doc, until=given.get("till", ""), changes=[*doc["changes"], given.get("till")])
    elif command == "cancel":
        doc = service.change(doc, state="canceled")
    elif command != "status":
        return said(BAD, "Unknown command")
    return said(OK, doc=doc)


def _activate(service: "Foreign", given: dict[str, str], facts: Doc) -> web.Response:
    planned = service.planned(facts)
    if planned and planned.kind == "out_of_stock":
        return said(BUSY, "No serials, try later")
    if planned and planned.kind == "refuse":
        return said(REFUSED, planned.reason or "Refused")
    state = planned.kind if planned else "active"
    return said(
        OK,
        doc=service.make(
            "xml",
            given.get("extId", ""),
            until=given.get("till", ""),
            product=given.get("tariff"),
            state=state,
        ),
    )
