"""ATOL Online, version 5 of its protocol (fiscal format 1.2): receipts registered in the cloud."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from apps.connectors import http
from apps.connectors.base import ConnectorError, ForgedMessage, Inbound, Received, setting
from apps.core.money import Money, rounded
from apps.payments.cash_register import (
    Agent,
    CashRegister,
    Correction,
    Method,
    ReceiptLine,
    ReceiptRequest,
    RegisteredReceipt,
)
from apps.payments.gateway import Status

TIMEOUT_SECONDS = 20.0
MOSCOW = ZoneInfo("Europe/Moscow")
PIECE, OTHER, SERVICE = 0, 255, 4
"""Measure [2108] «штука»; measure «иное»; object [1212] «услуга»."""
ELECTRONIC, PREPAID = 1, 2
KNOWN, NOT_READY, EXPIRED_TOKEN = 33, 34, {10, 11, 13}
"""Error codes: this external_id is there already; still at work; the token is over."""
AGENTS = {"agent": "another", "commissioner": "commission_agent", "attorney": "attorney"}
NO_INN = "0" * 12
"""For a supplier that has none [1226]: a field of twelve signs."""
_tokens: dict[tuple[int, str], str] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Settings:
    """A group of registers."""

    login: str = setting(_("логин"))
    password: str = setting(_("пароль"), secret=True)
    group: str = setting(_("код группы касс"))
    base_url: str = setting(_("адрес"), default="https://online.atol.ru/possystem/v5")


class Atol(CashRegister):
    """One group of registers."""

    title = _("АТОЛ Онлайн")
    Config = Settings

    def check(self) -> str:
        self._new_token()
        return str(_("Касса отвечает, группа %s") % self.config.group)

    def register(self, request: ReceiptRequest) -> RegisteredReceipt:
        kind = "_correction" if request.correction else ""
        answer = self._call("POST", f"{request.operation.value}{kind}", json=self._body(request))
        said = _json(answer)
        told = said.get("error") or {}
        if said.get("uuid") and (not told or told.get("code") == KNOWN):
            return RegisteredReceipt(gateway_id=str(said["uuid"]), status=Status.PENDING, fiscal={})
        raise ConnectorError(
            str(told.get("text") or answer.status_code)[:300], code=str(told.get("code", ""))
        )

    def fetch(self, reference: ReceiptRequest, /) -> RegisteredReceipt:
        if not reference.gateway_id:
            return self.register(reference)
        answer = self._call("GET", f"report/{reference.gateway_id}")
        said = _json(answer)
        told = said.get("error") or {}
        if said.get("uuid") != reference.gateway_id:
            raise ConnectorError(
                str(told.get("text") or answer.status_code)[:300], code=str(told.get("code", ""))
            )
        return _seen(said)

    def receive(self, message: Inbound) -> Received:
        """A report that nobody signs: only a reason to ask for it."""
        try:
            said = httpx.Response(200, content=message.body).json()
            return Received(gateway_id=str(said["uuid"]), type="receipt")
        except (ValueError, KeyError, TypeError) as error:
            raise ForgedMessage(str(_("Это не отчёт кассы"))) from error

    def _body(self, request: ReceiptRequest) -> dict[str, Any]:
        seller = request.seller
        client = {"email": request.email} if request.email else {"phone": request.phone}
        electronic = request.total.amount - request.prepaid
        paid = [(ELECTRONIC, electronic), (PREPAID, request.prepaid)]
        told = _correction(request.correction) if request.correction else {}
        return {
            "external_id": str(request.reference),
            "timestamp": f"{request.at.astimezone(MOSCOW):%d.%m.%Y %H:%M:%S}",
            "service": {"callback_url": self._callback()},
            "correction" if request.correction else "receipt": {
                **told,
                "client": client,
                "company": {
                    "email": seller.email,
                    "sno": seller.taxation,
                    "inn": seller.inn,
                    "payment_address": seller.place,
                },
                "items": [_item(line) for line in request.lines],
                "payments": [{"type": kind, "sum": float(sum_)} for kind, sum_ in paid if sum_],
                "vats": _vats(request.lines),
                "total": float(request.total.amount),
            },
        }

    def _callback(self) -> str:
        port = f":{settings.PUBLIC_PORT}" if settings.PUBLIC_PORT else ""
        return f"{settings.PUBLIC_SCHEME}://{settings.PUBLIC_HOST}{port}/hooks/{self.connection.pk}/"

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A call with the token of this group; with a new one, once, where that is over."""
        address = f"{self.config.base_url.rstrip('/')}/{self.config.group}/{path}"
        for token in (self._token(), None):
            answer = http.request(
                self.connection,
                method,
                address,
                headers={"Token": token or self._new_token()},
                timeout=TIMEOUT_SECONDS,
                **options,
            )
            if answer.status_code != 401:
                break
        if answer.status_code in {401, 403}:
            raise ConnectorError(str(_("Касса не принимает наш токен")), code="invalid_credentials")
        return answer

    def _token(self) -> str:
        with _lock:
            known = _tokens.get(self._key())
        return known or self._new_token()

    def _new_token(self) -> str:
        answer = http.request(
            self.connection,
            "POST",
            f"{self.config.base_url.rstrip('/')}/getToken",
            json={"login": self.config.login, "pass": self.config.password},
            timeout=TIMEOUT_SECONDS,
        )
        said = _json(answer)
        token = str(said.get("token") or "")
        if not token:
            told = (said.get("error") or {}).get("text") or answer.status_code
            raise ConnectorError(str(told)[:300], code="invalid_credentials")
        with _lock:
            _tokens[self._key()] = token
        return token

    def _key(self) -> tuple[int, str]:
        # Another password is another token: a rotated one is not used with the old.
        return self.connection.pk, f"{self.config.login}:{self.config.password}"


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        # Whatever stands between us and the register, it may have taken what we sent.
        raise ConnectorError(str(_("Касса ответила непонятно (%d)") % answer.status_code), unknown=True)
    return said


def vat_name(rate: Decimal | None, *, is_calculated: bool) -> str:
    """`vat22`, `vat122` for a calculated rate (an advance), `none`."""
    if rate is None:
        return "none"
    number = f"{rate.normalize():f}"
    return f"vat1{int(rate):02d}" if is_calculated and rate else f"vat{number}"


def _item(line: ReceiptLine) -> dict[str, Any]:
    item: dict[str, Any] = {
        "name": line.name,
        "price": float(line.price),
        "quantity": line.quantity,
        "measure": PIECE if line.quantity != 1 else OTHER,
        "sum": float(line.amount),
        "payment_method": line.method.value,
        "payment_object": SERVICE,
        "vat": {"type": _vat_of(line), "sum": float(line.vat)},
    }
    if line.agent is not None:
        item |= _agent(line.agent)
    return item


def _vat_of(line: ReceiptLine) -> str:
    return vat_name(line.vat_rate, is_calculated=line.method == Method.FULL_PREPAYMENT)


def _agent(agent: Agent) -> dict[str, Any]:
    supplier: dict[str, Any] = {"name": agent.supplier_name, "inn": agent.supplier_inn or NO_INN}
    if agent.supplier_phone:
        supplier["phones"] = [agent.supplier_phone]
    return {"agent_info": {"type": AGENTS[agent.kind]}, "supplier_info": supplier}


def _correction(correction: Correction) -> dict[str, Any]:
    """Of our own accord, of what day, and which receipt it was."""
    sign = {"additional_check_props": correction.attribute} if correction.attribute else {}
    return {"correction_info": {"type": "self", "base_date": f"{correction.on:%d.%m.%Y}"}, **sign}


def _vats(lines: tuple[ReceiptLine, ...]) -> list[dict[str, Any]]:
    sums: dict[str, Decimal] = {}
    for line in lines:
        sums[_vat_of(line)] = sums.get(_vat_of(line), Decimal(0)) + line.vat
    return [{"type": name, "sum": float(amount)} for name, amount in sums.items()]


def _seen(said: dict[str, Any]) -> RegisteredReceipt:
    told = said.get("error") or {}
    if said.get("status") == "done":
        payload = said.get("payload") or {}
        return RegisteredReceipt(
            gateway_id=str(said["uuid"]),
            status=Status.SUCCEEDED,
            total=Money(rounded(Decimal(str(payload.get("total", 0))))),
            fiscal={
                "fn": str(payload.get("fn_number", "")),
                "document": str(payload.get("fiscal_document_number", "")),
                "attribute": str(payload.get("fiscal_document_attribute", "")),
                "registered_at": _moment(str(payload.get("receipt_datetime", ""))),
                "url": str(payload.get("ofd_receipt_url", "")),
            },
        )
    if said.get("status") == "fail" and told.get("code") != NOT_READY:
        reason = str(told.get("text") or told.get("code") or "")
        return RegisteredReceipt(
            gateway_id=str(said["uuid"]), status=Status.CANCELED, reason=reason, fiscal={}
        )
    return RegisteredReceipt(gateway_id=str(said["uuid"]), status=Status.PENDING, fiscal={})


def _moment(text: str) -> str:
    try:
        return datetime.strptime(text, "%d.%m.%Y %H:%M:%S").replace(tzinfo=MOSCOW).astimezone(UTC).isoformat()
    except ValueError:
        return ""
