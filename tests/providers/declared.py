"""Three foreign providers as staff would describe them, and connections that speak so."""

import copy
import itertools
from typing import Any

from apps.connectors.models import Connection
from apps.core.tenancy import in_public
from apps.providers import definitions
from apps.providers.models import DefinitionVersion
from apps.sandbox.control import Control

_numbers = itertools.count(1)
LOGIN, SECRET, CALLBACK_SECRET = "armor", "foreign-secret-2026", "callback-secret-2026"

REST: dict[str, Any] = {
    "format": 1,
    "base_url": "https://rest.example/rest/v2",
    "auth": {
        "type": "hmac",
        "name": "X-Signature",
        "message": "{{ timestamp }}\n{{ method }}\n{{ path }}\n{{ body }}",
        "headers": {"X-Client": "{{ login }}", "X-Timestamp": "{{ timestamp }}"},
    },
    "operations": {
        "check": {"method": "GET", "path": "/ping", "answer": {"paths": {}}},
        "provision": {
            "method": "POST",
            "path": "/orders",
            "body_kind": "json",
            "body": {
                "externalId": "{{ request_id }}",
                "product": "{{ sku }}",
                "customer": "{{ customer_ref }}",
                "validTo": "{{ period_end }}",
                "options": "{{ parameters }}",
                "promo": "{{ parameters.promo | optional }}",
            },
            "repeat_safe": True,
        },
        "status": {"method": "GET", "path": "/orders/by-external/{{ request_id }}"},
        "extend": {
            "method": "POST",
            "path": "/orders/{{ service_id }}/prolong",
            "body_kind": "json",
            "body": {"prolongationId": "{{ extension_id }}", "validTo": "{{ period_end }}"},
            "repeat_safe": True,
        },
        "suspend": {"method": "POST", "path": "/orders/{{ service_id }}/pause", "repeat_safe": True},
        "resume": {"method": "POST", "path": "/orders/{{ service_id }}/resume", "repeat_safe": True},
        "cancel": {"method": "DELETE", "path": "/orders/{{ service_id }}"},
    },
    "answer": {
        "form": "json",
        "paths": {
            "status": "$.order.state",
            "service_id": "$.order.id",
            "key": "$.order.activationCode",
            "url": "$.order.link",
            "until": "$.order.validTo",
            "error": "$.error.code",
            "message": "$.error.text",
        },
        "states": {
            "active": ["ACTIVE"],
            "pending": ["PROCESSING"],
            "suspended": ["PAUSED"],
            "canceled": ["TERMINATED"],
            "failed": ["REJECTED"],
        },
        "codes": {"retry": ["OUT_OF_STOCK"], "not_found": ["NOT_FOUND"]},
    },
    "delivery": "at_once",
    "timeout": 20,
}


def gate(command: str, *lines: str) -> dict[str, Any]:
    """A request of the XML provider."""
    body = ["<request>", "  <login>{{ login }}</login>", "  <password>{{ secret }}</password>"]
    body += [f"  <command>{command}</command>", "  <extId>{{ request_id }}</extId>", *lines, "</request>"]
    return {"method": "POST", "path": "/gate", "body_kind": "xml", "body": "\n".join(body)}


XML: dict[str, Any] = {
    "format": 1,
    "base_url": "https://xml.example/xml",
    "auth": {"type": "none"},
    "operations": {
        "provision": gate(
            "activate",
            "  <tariff>{{ sku }}</tariff>",
            '  <till>{{ period_end | date("dd.MM.yyyy") }}</till>',
            '  {% for name, value in parameters|items %}<param name="{{ name }}">{{ value }}</param>{% endfor %}',
        ),
        "status": gate("status"),
        "extend": gate("prolong", '  <till>{{ period_end | date("dd.MM.yyyy") }}</till>')
        | {"repeat_safe": True},
        "cancel": gate("cancel") | {"repeat_safe": True},
    },
    "answer": {
        "form": "xml",
        "paths": {
            "status": "/response/state",
            "service_id": "/response/id",
            "key": "/response/serial",
            "error": "/response/code",
            "message": "/response/message",
        },
        "states": {"active": ["1"], "pending": ["0"], "canceled": ["2"], "failed": ["9"]},
        "codes": {"ok": ["0"], "retry": ["300"], "not_found": ["404"]},
    },
    "delivery": "at_once",
}

LATER: dict[str, Any] = {
    "format": 1,
    "base_url": "https://async.example/async",
    "auth": {"type": "oauth2", "token_url": "/oauth/token"},
    "operations": {
        "provision": {
            "method": "POST",
            "path": "/api/subscriptions",
            "body_kind": "json",
            "body": {
                "clientRef": "{{ request_id }}",
                "plan": "{{ sku }}",
                "until": "{{ period_end }}",
                "callbackUrl": "{{ callback_url }}",
            },
            "repeat_safe": True,
        },
        "status": {"method": "GET", "path": "/api/subscriptions/{{ service_id }}"},
        "extend": {
            "method": "PUT",
            "path": "/api/subscriptions/{{ service_id }}/term",
            "body_kind": "json",
            "body": {"until": "{{ period_end }}"},
        },
        "cancel": {
            "method": "POST",
            "path": "/api/subscriptions/{{ service_id }}/close",
            "repeat_safe": True,
        },
    },
    "answer": {
        "form": "json",
        "paths": {
            "status": "$.status",
            "service_id": "$.jobId",
            "key": "$.license.code",
            "url": "$.license.page",
            "error": "$.fault",
            "message": "$.fault",
        },
        "states": {
            "active": ["ready"],
            "pending": ["in_progress"],
            "canceled": ["closed"],
            "failed": ["declined"],
        },
        "codes": {"retry": ["out_of_stock"]},
    },
    "delivery": "callback",
    "poll_seconds": 5,
    "callback": {
        "verify": "hmac",
        "header": "X-Hub-Signature",
        "prefix": "sha256=",
        "encoding": "base64",
        "answer": {"paths": {"request_id": "$.clientRef", "service_id": "$.jobId", "status": "$.status"}},
    },
}
AT = {"rest": "/rest/v2", "xml": "/xml", "async": "/async"}
DOCUMENTS = {"rest": REST, "xml": XML, "async": LATER}


def live(document: dict[str, Any], name: str = "") -> DefinitionVersion:
    """A version of a new definition that calls are made by, as if it had been tested."""
    with in_public():
        version = definitions.create(
            name=name or f"Описание {next(_numbers)}", document=copy.deepcopy(document), actor="test"
        )
        DefinitionVersion.objects.filter(pk=version.pk).update(state="tested", tested_at=version.created_at)
        version.refresh_from_db()
        return definitions.publish(version, actor="test")


def connect(
    version: DefinitionVersion, foreign: Control, protocol: str, *, is_test: bool = False, **config: Any
) -> Connection:
    """A connection to the simulator that speaks by a version."""
    with in_public():
        return Connection.objects.create(
            kind="provider",
            connector=definitions.CONNECTOR,
            name=f"Подключение {version.definition}",
            is_test=is_test,
            config={
                "definition": version.definition.code,
                "base_url": foreign.base_url + AT[protocol],
                "login": LOGIN,
                "secret": SECRET,
                "callback_secret": CALLBACK_SECRET,
                **config,
            },
        )
