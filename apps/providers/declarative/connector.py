"""Provider connector that speaks as staff have described: its requests and answers are a definition, not code."""

import base64
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Self
from uuid import UUID

import httpx
from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.connectors import http, masking
from apps.connectors.base import ConnectorError, ForgedMessage, Inbound, Received, setting
from apps.core import clock, links
from apps.providers import definitions, remembering
from apps.providers.base import NOT_SUPPORTED, Known, ProviderConnector, Provisioned, ProvisionRequest, Status
from apps.providers.declarative import reading
from apps.providers.declarative.composing import Composed, compose, signature
from apps.providers.declarative.document import SIGNING_HEADERS, Callback, Document, Unsound
from apps.providers.declarative.templates import Broken

STATUSES = {
    "active": Status.ACTIVE,
    "pending": Status.PENDING,
    # It waits for us: until it is answered it goes on being asked.
    "inquiring": Status.PENDING,
    "canceled": Status.CANCELED,
    # It stands there and rests: the customer has it.
    "suspended": Status.ACTIVE,
}
FRESH_CALLBACK = 15 * 60
"""Seconds for which a message that is signed with its time is believed."""
_tokens: dict[tuple[int | None, str], tuple[float, str]] = {}


class DeclarativeProvider(ProviderConnector):
    """Asked by the version of its definition that the call began with; else by the live one."""

    title = gettext_lazy("Поставщик из конструктора")
    remembers = True
    signed_by = SIGNING_HEADERS

    @dataclass(frozen=True)
    class Config:
        """Which definition, and the access that is ours alone."""

        definition: str = setting(gettext_lazy("Код конструктора"))
        base_url: str = setting(
            gettext_lazy("Адрес API"), default="", help_text=gettext_lazy("Пусто: адрес из описания")
        )
        login: str = setting(gettext_lazy("Логин или номер ключа"), default="")
        secret: str = setting(gettext_lazy("Пароль, токен или ключ"), secret=True, default="")
        account: str = setting(gettext_lazy("Номер договора или кабинета"), default="")
        callback_secret: str = setting(gettext_lazy("Секрет уведомлений"), secret=True, default="")

    def __init__(self, config: Any, connection: Any) -> None:
        super().__init__(config, connection)
        self._known: Known | None = None
        self._document: Document | None = None

    def knowing(self, known: Known) -> Self:
        self._known = known
        return self

    def by(self, document: Document) -> Self:
        """The same connector by a document that is not live: how staff try a draft."""
        self._document = document
        return self

    @property
    def document(self) -> Document:
        """What it speaks by. Raises ConnectorError(retry) where nothing is live."""
        if self._document is None:
            version = self._known.version if self._known else definitions.live_id(self.config.definition)
            if not version:
                said = _("У конструктора «%s» нет действующей версии")
                raise ConnectorError(said % self.config.definition, retry=True)
            try:
                self._document = definitions.document_of(version)
            except Unsound as error:
                raise ConnectorError(_("Описание поставщика не годится: %s") % error) from error
        return self._document

    # -- what every provider's connector does ----------------------------------------------------------

    def check(self) -> str:
        if "check" in self.document.operations:
            self._call("check", {})
            return str(_("Поставщик отвечает"))
        return str(_("Описание действует; запроса для проверки связи в нём нет"))

    def provision(self, request: ProvisionRequest) -> Provisioned:
        return self._given("provision", self._call("provision", _of(request)))

    def fetch(self, request_id: UUID, /) -> Provisioned | None:
        if "status" in self.document.operations:
            return self._asked(request_id)
        if self._known and self._known.is_accepted and self.document.callback:
            # It has it, and will tell.
            return self._waits()
        if self.document.operations["provision"].repeat_safe:
            return None
        raise _cannot_ask()

    def has(self, request_id: UUID, /) -> bool | None:
        if "status" not in self.document.operations:
            return None
        needs = {name for pair in self._names("status") for name in pair}
        if "service_id" in needs and not (self._known and self._known.service_id):
            return None
        # Whether it gives a key again is of no account here.
        return self._call("status", {"request_id": str(request_id)}).state == "active"

    def extend(self, request_id: UUID, *, extension_id: UUID, period_end: date) -> Provisioned:
        values = {"request_id": str(request_id), "extension_id": str(extension_id)}
        values["period_end"] = period_end.isoformat()
        if self._may_be_doubled("extend"):
            read = self._status(request_id)
            if read.state == "active" and read.found.get("until", "")[:10] >= period_end.isoformat():
                return self._given("extend", read)
            if not read.found.get("until"):
                raise _cannot_ask()
        return self._given("extend", self._call("extend", values))

    def cancel(self, request_id: UUID) -> Provisioned:
        if self._may_be_doubled("cancel") and self._status(request_id).state in {"canceled", "not_found"}:
            return Provisioned(Status.CANCELED)
        read = self._call("cancel", {"request_id": str(request_id)})
        if read.state == "not_found":
            # What never arrived has nothing to be taken back.
            return Provisioned(Status.CANCELED)
        return self._given("cancel", read)

    def suspend(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        return self._moved("suspend", request_id)

    def resume(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        return self._moved("resume", request_id)

    def _moved(self, operation: str, request_id: UUID) -> Provisioned:
        if operation not in self.document.operations:
            raise ConnectorError(str(_("Поставщик не знает паузы")), code=NOT_SUPPORTED)
        return self._given(operation, self._call(operation, {"request_id": str(request_id)}))

    # -- calls ------------------------------------------------------------------------------------------

    def _may_be_doubled(self, operation: str) -> bool:
        """Whether the same call may have arrived, and to make it again would do it again."""
        described = self.document.operations.get(operation)
        repeated = bool(self._known and self._known.is_repeated)
        return repeated and described is not None and not described.repeat_safe

    def _status(self, request_id: UUID) -> reading.Read:
        if "status" not in self.document.operations:
            raise _cannot_ask()
        return self._call("status", {"request_id": str(request_id)})

    def _asked(self, request_id: UUID) -> Provisioned | None:
        needs = {name for pair in self._names("status") for name in pair}
        if "service_id" in needs and not (self._known and self._known.service_id):
            # Its own number is all that it can be asked by, and the answer that told it was lost.
            if self.document.operations["provision"].repeat_safe:
                return None
            raise _cannot_ask()
        read = self._call("status", {"request_id": str(request_id)})
        return None if read.state == "not_found" else self._given("status", read)

    def _names(self, operation: str) -> list[frozenset[str]]:
        """The fields that the address and parameters of an operation use."""
        request = self.document.operations[operation]
        return [request.path.names, *(one.names for _name, one in request.query), *_written(request.body)]

    def _waits(self) -> Provisioned:
        return Provisioned(Status.PENDING, ask_again=float(self.document.poll_seconds))

    def _given(self, operation: str, read: reading.Read) -> Provisioned:
        found, request = read.found, self.document.operations[operation]
        if read.state == "not_found":
            raise ConnectorError(_("У поставщика нет такой услуги"), code="not_found")
        delivers = operation in {"provision", "status"} and read.state == "active"
        if delivers and not reading.deliverable(found, request.answer):
            raise ConnectorError(_("Поставщик не прислал ни ключа, ни ссылки"), unknown=True)
        waits = read.state in {"pending", "inquiring"} and self.document.delivery != "at_once"
        return Provisioned(
            STATUSES[read.state],
            key=found.get("key", ""),
            url=found.get("url", ""),
            instructions=found.get("instructions", ""),
            service_id=found.get("service_id", "")[:100],
            ask_again=float(self.document.poll_seconds) if waits else 0.0,
            question=reading.question(read),
        )

    def _call(self, operation: str, own: Mapping[str, Any]) -> reading.Read:
        _composed, answer = self.exchanged(operation, own)
        described = self.document.operations[operation].answer
        return reading.read(operation, described, answer.status_code, answer.content)

    def exchanged(self, operation: str, own: Mapping[str, Any]) -> tuple[Composed, httpx.Response]:
        """Makes a call; what was sent, and what was answered. Raises ConnectorError."""
        values = self.values(own)
        token = self._token() if self.document.auth.type == "oauth2" else ""
        with masking.also(*filter(None, [token])):
            composed = self._composed(operation, values, token)
            answer = self._sent(operation, composed)
            if answer.status_code == 401 and token:
                # It was refused for its token, so it was not done: once more with a fresh one.
                _tokens.pop(self._place(), None)
                token = self._token()
                with masking.also(token):
                    answer = self._sent(operation, self._composed(operation, values, token))
        return composed, answer

    def _composed(self, operation: str, values: Mapping[str, Any], token: str) -> Composed:
        try:
            return compose(self.document, operation, values, base_url=self.config.base_url, token=token)
        except Broken as error:
            # Nothing has left: staff have to look at it.
            raise ConnectorError(_("Запрос не составить: %s") % error, code="template") from error

    def _sent(self, operation: str, composed: Composed) -> httpx.Response:
        try:
            return http.request(
                self.connection,
                composed.method,
                composed.url,
                content=composed.content or None,
                headers=composed.headers,
                timeout=self.document.timeout,
            )
        except ConnectorError as error:
            codes = self.document.operations[operation].answer.codes
            if error.unknown and error.code and codes.get(error.code) == "retry":
                # The provider's own word for «not done, come again», as staff have described it.
                error.unknown, error.retry = False, True
            elif error.unknown and operation in reading.ASKS:
                # A question by POST changes nothing there.
                error.unknown, error.retry = False, True
            raise

    def values(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """What its templates are filled in with."""
        known = self._known
        now = clock.wall()
        found: dict[str, Any] = {
            "login": self.config.login,
            "account": self.config.account,
            "secret": self.config.secret,
            "callback_url": callback_url(self.connection.pk),
            "today": clock.today().isoformat(),
            "now": now.isoformat(timespec="seconds"),
            "timestamp": int(time.time()),
            "nonce": secrets.token_hex(16),
        }
        if known is not None:
            found |= _of(known.request) | {"reference": known.reference}
            if known.service_id:
                found["service_id"] = known.service_id
        return found | dict(own)

    # -- OAuth 2.0 ---------------------------------------------------------------------------------------

    def _place(self) -> tuple[int | None, str]:
        told = (
            f"{self.config.base_url} {self.config.login} {self.config.secret} {self.document.auth.token_url}"
        )
        return self.connection.pk, told

    def _token(self) -> str:
        until, token = _tokens.get(self._place(), (0.0, ""))
        if time.monotonic() < until:
            return token
        auth = self.document.auth
        base = (self.config.base_url or self.document.base_url).rstrip("/")
        url = auth.token_url if "://" in auth.token_url else base + auth.token_url
        data = {"grant_type": "client_credentials", **({"scope": auth.scope} if auth.scope else {})}
        # RFC 6749, 2.3.1: by Basic, which every server has to take.
        try:
            answer = http.request(
                self.connection,
                "POST",
                url,
                data=data,
                auth=(self.config.login, self.config.secret),
                timeout=self.document.timeout,
            )
        except ConnectorError as error:
            # No order was sent yet: whatever became of the question, it may be asked again.
            error.unknown, error.retry = False, True
            raise
        try:
            told = answer.json()
            token, seconds = str(told["access_token"]), float(told.get("expires_in") or 300)
        except (ValueError, KeyError, TypeError) as error:
            said = _("Токен не выдан (%s)") % answer.status_code
            raise ConnectorError(said, retry=True, code=str(answer.status_code)) from error
        _tokens[self._place()] = time.monotonic() + max(seconds - 30, 1), token
        return token

    # -- messages of the provider --------------------------------------------------------------------------

    def receive(self, message: Inbound) -> Received:
        callback = self.document.callback
        if callback is None:
            raise ForgedMessage(_("Уведомления от этого поставщика не описаны"))
        if not self.config.callback_secret or not self._is_true(callback, message):
            raise ForgedMessage(_("Подпись не сходится"))
        try:
            found = reading.values(callback.answer, message.body)
        except Broken as error:
            raise ForgedMessage(str(error)) from error
        data: dict[str, Any] = {}
        if "status" not in self.document.operations:
            # There is nobody to ask: what was signed is all that there will be.
            data = _content(callback, found)
        number = self._reference(found)
        return Received(number, found.get("service_id", ""), found.get("status", ""), data)

    def _is_true(self, callback: Callback, message: Inbound) -> bool:
        given = message.headers.get(callback.header, "")
        secret = self.config.callback_secret
        if callback.verify == "basic":
            whole = base64.b64encode(f"{self.config.login}:{secret}".encode()).decode()
            given = message.headers.get("authorization", "")
            return hmac.compare_digest(given.encode(), f"Basic {whole}".encode())
        if callback.verify == "token":
            return hmac.compare_digest(given.encode(), (callback.prefix + secret).encode())
        moment = message.headers.get(callback.time_header, "") if callback.time_header else ""
        if callback.time_header and not self._is_fresh(moment, message):
            return False
        told = {
            "body": message.body.decode("utf-8", "replace"),
            "timestamp": moment,
            "login": self.config.login,
        }
        try:
            text = callback.message.text(told)
        except Broken:
            return False
        wanted = callback.prefix + signature(secret, text, callback.algorithm, callback.encoding)
        if callback.encoding == "hex":
            given, wanted = given.lower(), wanted.lower()
        return hmac.compare_digest(given.encode(), wanted.encode())

    @staticmethod
    def _is_fresh(moment: str, message: Inbound) -> bool:
        came = (message.received_at or clock.wall()).timestamp()
        try:
            told = float(moment)
        except ValueError:
            return False
        # Some count in milliseconds.
        return abs(came - (told / 1000 if told > 10**11 else told)) <= FRESH_CALLBACK

    def _reference(self, found: Mapping[str, str]) -> int | None:
        """Our number of what a message is about, where it names our own id."""
        given = found.get("request_id", "")
        return remembering.reference_of(self.connection.pk, given) if given else None


def _content(callback: Callback, found: dict[str, str]) -> dict[str, Any]:
    """What a message says by itself. Raises ForgedMessage where its words are not described."""
    given = {name: found.get(name, "") for name in ("key", "url", "instructions")}
    try:
        read = reading.judge("provision", callback.answer, 200, found)
    except ConnectorError as error:
        if error.unknown or error.retry:
            raise ForgedMessage(str(error)) from error
        return given | {"state": "failed", "message": str(error), "code": error.code}
    return given | {"state": read.state, "question": reading.question(read)}


def _of(request: ProvisionRequest) -> dict[str, Any]:
    return {
        "request_id": str(request.request_id),
        "sku": request.sku,
        "customer_ref": request.customer_ref,
        "period_end": request.period_end.isoformat(),
        "parameters": dict(request.parameters),
    }


def _written(body: Any) -> list[frozenset[str]]:
    if isinstance(body, dict):
        return [one for value in body.values() for one in _written(value)]
    if isinstance(body, list | tuple):
        return [one for value in body for one in _written(value)]
    names = getattr(body, "names", None)
    return [names] if names else []


def _cannot_ask() -> ConnectorError:
    """Its answer was lost and there is nothing to ask by: to repeat it blind might do it twice."""
    return ConnectorError(
        _("Ответ потерян, а спросить о нём нечем: узнайте у поставщика, сделан ли запрос"), code="cannot_ask"
    )


def callback_url(connection_id: int | None) -> str:
    """Where the provider's messages go."""
    path = reverse("hook", args=[connection_id or 0], urlconf=settings.PUBLIC_SCHEMA_URLCONF)
    return links.public_url(path)
