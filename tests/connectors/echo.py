"""A connector of the tests: signs with a word, and says what it was told."""

import json
from dataclasses import dataclass
from typing import Any

from apps.connectors import http
from apps.connectors.base import Connector, ForgedMessage, Inbound, Kind, Received, setting


@dataclass(frozen=True)
class EchoConfig:
    url: str = setting("Адрес")
    password: str = setting("Пароль", secret=True)
    limit: int = setting("Предел", default=10)
    loud: bool = setting("Громко", default=False)


class Echo(Connector):
    kind = Kind.CHANNEL
    title = "Эхо"
    Config = EchoConfig
    signed_by = ("x-word",)

    def check(self) -> str:
        http.request(self.connection, "GET", f"{self.config.url}/ok")
        return "Отвечает"

    def fetch(self, reference: Any, /) -> Any:
        return http.request(self.connection, "GET", f"{self.config.url}/ok").json()

    def receive(self, message: Inbound) -> Received:
        if message.headers.get("x-word") != self.config.password:
            raise ForgedMessage("Подпись не сошлась")
        said = json.loads(message.body)
        return Received(
            reference=said.get("reference"), gateway_id=said.get("id", ""), type=said["type"], data=said
        )


class NoFetch(Connector):
    kind = "nonsense"
    title = ""
    Config = dict

    def check(self) -> str:
        return ""
