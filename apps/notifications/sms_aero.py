"""SMS over SMS Aero's API v2 (`gate.smsaero.ru/v2`)."""

from dataclasses import dataclass
from typing import Any

import httpx
from django.utils.translation import gettext_lazy as _

from apps.connectors import http
from apps.connectors.base import ConnectorError, setting
from apps.notifications.sender import MessageSender, Outgoing, Receipt, Status

LONGEST = 640
# 0 queue, 1 delivery, 2 failed, 3 sent, 4 wait status, 6 rejected, 8 moderation
STATUSES: dict[int, Status] = {1: "delivered", 2: "failed", 6: "failed"}


@dataclass(frozen=True)
class Config:
    """An account at SMS Aero."""

    email: str = setting(_("Почта учётной записи"))
    api_key: str = setting(_("Ключ API"), secret=True)
    sign: str = setting(_("Имя отправителя"), default="SMS Aero")
    base_url: str = setting(_("Адрес API"), default="https://gate.smsaero.ru/v2")


class SmsAero(MessageSender):
    """Takes no id of ours, so an SMS whose answer was lost is looked for by its number and text."""

    kind = "sms"
    title = _("SMS Aero")
    Config = Config
    reports_delivery = True

    def check(self) -> str:
        self._call("auth")
        return str(_("На счёте %(rest)s ₽") % {"rest": self._call("balance")["balance"]})

    def send(self, message: Outgoing, /) -> Receipt:
        if len(message.text) > LONGEST:
            raise ConnectorError(_("Текст длиннее %d знаков") % LONGEST)
        body = {"number": _number(message), "text": message.text, "sign": self.config.sign}
        return Receipt("sent", provider_id=str(self._call("sms/send", **body)["id"]))

    def fetch(self, message: Outgoing, /) -> Receipt:
        found = self._by_id(message) if message.provider_id else self._by_text(message)
        if found is None:
            return Receipt("missing")
        status = STATUSES.get(int(found["status"]), "sent")
        reason = f"SMS Aero: {found.get('extendStatus', '')}" if status == "failed" else ""
        return Receipt(status, provider_id=str(found["id"]), reason=reason)

    def _by_id(self, message: Outgoing) -> dict[str, Any] | None:
        try:
            return dict(self._call("sms/status", id=int(message.provider_id)))
        except ConnectorError as error:
            if error.code == "404":
                return None
            raise

    def _by_text(self, message: Outgoing) -> dict[str, Any] | None:
        """The newest SMS with this number and text that is none of our other messages."""
        rows = self._call("sms/list", number=_number(message), text=message.text)
        for row in rows.values() if isinstance(rows, dict) else rows:
            # Beside the rows stand counters.
            is_same = isinstance(row, dict) and row.get("text") == message.text
            if is_same and str(row["id"]) not in message.not_ids:
                return dict(row)
        return None

    def _call(self, operation: str, **body: Any) -> Any:
        """The `data` of the answer. Raises ConnectorError with SMS Aero's own word for a refusal."""
        answer = http.request(
            self.connection,
            "POST",
            f"{self.config.base_url.rstrip('/')}/{operation}",
            json=body,
            auth=(self.config.email, self.config.api_key),
        )
        document = _document(answer)
        if answer.status_code < 400 and document.get("success"):
            return document["data"]
        raise _refusal(answer.status_code, document)


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ConnectorError(
            str(_("SMS Aero ответил не по протоколу")), unknown=True, code=str(answer.status_code)
        )
    return document


def _refusal(status: int, document: dict[str, Any]) -> ConnectorError:
    reason = document.get("reason") or document.get("result") or document.get("message") or ""
    # An empty balance, a wrong key: staff put that right, and the message is still wanted.
    is_passing = status in (401, 402, 403) or document.get("result") == "no credits"
    text = f"SMS Aero: {reason} {document.get('data') or ''}".strip()
    return ConnectorError(text, retry=is_passing, code=str(status))


def _number(message: Outgoing) -> str:
    return message.to.lstrip("+")
