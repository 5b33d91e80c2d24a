"""A request as a test asks it, and all that its answer tells: page, PDF or sheet, and the headers."""

from io import BytesIO
from typing import Any

from django.test import Client
from openpyxl import load_workbook
from pypdf import PdfReader

from tests.isolation.houses import House
from tests.isolation.routes import ANYONE, SAID_NO, Route


def ask(client: Client, route: Route, ids: dict[str, Any]) -> tuple[int, str]:
    """The status and the text of an answer. The headers are part of it: a redirect tells too."""
    path = route.path.format(**ids)
    if route.method == "post":
        kind = {"content_type": "application/json"} if "api" in path else {}
        answer = client.post(path, route.data or {}, **kind)
    else:
        answer = client.get(path)
    body = b"".join(answer) if answer.streaming else answer.content
    return answer.status_code, text_of(answer.headers.get("Content-Type", ""), body) + str(
        dict(answer.headers)
    )


def text_of(content_type: str, body: bytes) -> str:
    """What a reader sees, where the bytes are packed."""
    if "pdf" in content_type:
        return " ".join(page.extract_text() for page in PdfReader(BytesIO(body)).pages)
    if "spreadsheet" in content_type:
        book = load_workbook(BytesIO(body))
        return " ".join(str(cell) for sheet in book for row in sheet.values for cell in row)
    return body.decode("utf-8", "replace")


def wrong(route: Route, own: House, other: House) -> list[str]:
    """What is wrong with an address: own is refused, or the other's is answered or told of."""
    here = own.partner
    attempts = [("own", own.client(route.who, here), own.ids, {route.own})]
    if route.names_an_object:
        attempts.insert(0, ("another's id", own.client(route.who, here), other.ids, SAID_NO))
    if route.who != ANYONE:
        attempts.insert(0, ("another's credentials", other.client(route.who, here), own.ids, SAID_NO))
        attempts.insert(0, ("another's both", other.client(route.who, here), other.ids, SAID_NO))
    found = []
    for name, client, ids, expected in attempts:
        status, text = ask(client, route, ids)
        if status not in expected:
            found.append(f"{route.path}: {name} is answered {status}")
        told = [marker for marker in other.markers if marker in text]
        if name != "own" and route.who != ANYONE:
            told += [marker for marker in own.markers if "credentials" in name and marker in text]
        if told:
            found.append(f"{route.path}: {name} tells {told}")
        if name == "own" and route.tells and own.markers[0] not in text:
            found.append(f"{route.path}: nothing of its own")
    return found


def all_wrong(listed: dict[str, Route], own: House, other: House) -> list[str]:
    """What is wrong with any of the addresses."""
    return [problem for route in listed.values() for problem in wrong(route, own, other)]
