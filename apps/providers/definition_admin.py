"""Console: the editor of provider connectors: from an example to requests, answers, a try and going live."""

import json
from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps import journal
from apps.connectors import secrets
from apps.core import console
from apps.core.errors import Refused
from apps.providers import definitions, editing, trying
from apps.providers.declarative import answers, fields, from_curl, from_openapi, guessing
from apps.providers.declarative import document as documents
from apps.providers.declarative.connector import callback_url
from apps.providers.declarative.templates import FILTERS, Broken
from apps.providers.models import ConnectorDefinition, DefinitionVersion, Provider

STEPS = (
    ("access", _("Доступ")),
    ("requests", _("Запросы")),
    ("answer", _("Ответ")),
    ("try", _("Проба")),
    ("live", _("Запуск")),
)
_STARTS = {"access": ("base_url", "auth", "timeout", "in_flight", "per_second"), "requests": ("operations",)}
_STARTS |= {"answer": ("answer", "callback", "delivery", "poll_seconds"), "try": (), "live": ()}
STATES = {"live": "success", "draft": "warning", "tested": "info", "none": "danger"}
_SOURCES = (
    ("openapi", _("Файл OpenAPI")),
    ("curl", _("Пример запроса")),
    ("file", _("Выгрузка")),
    ("blank", _("С чистого листа")),
)
_FILTERS_TOLD = {
    "date": _('дата иначе: date("dd.MM.yyyy")'),
    "default": _('если нет: default("web")'),
    "optional": _("если нет, поле не уходит"),
    "number": _("числом"),
    "text": _("текстом"),
    "digits": _("только цифры"),
    "hex": _("номер без дефисов"),
    "upper": _("ЗАГЛАВНЫМИ"),
    "lower": _("строчными"),
    "trim": _("без пробелов по краям"),
    "base64": "Base64",
    "items": _("пары для {% for имя, значение in parameters|items %}"),
}


@console.register(ConnectorDefinition, sites=(console.operator_site,))
class ConnectorDefinitionAdmin(console.ConsoleAdmin):
    """Definitions; each opens in the editor. Only administrators change them: they decide where requests go."""

    change_roles = ()
    view_roles = ("manager",)
    list_display = ("name", "code", "live_version", "state_label")
    search_fields = ("name", "code")
    empty_hint = _("Опишите API поставщика: из файла OpenAPI или из примера запроса — без программиста")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("versions")

    @display(description=_("действует"))
    def live_version(self, definition: ConnectorDefinition) -> str:
        found = [one for one in definition.versions.all() if one.state == DefinitionVersion.State.LIVE]
        return gettext("версия %d") % found[0].number if found else "—"

    @display(description=_("последняя версия"), label=STATES)
    def state_label(self, definition: ConnectorDefinition) -> tuple[str, Any]:
        last = next(iter(definition.versions.all()), None)
        return console.Label(last.state, last.get_state_display()) if last else console.Label("none", "—")

    def get_urls(self) -> list[URLPattern]:
        def page(address: str, view: Any, name: str) -> URLPattern:
            return path(
                address, self.admin_site.admin_view(view), name=f"providers_connectordefinition_{name}"
            )

        one = "<int:number>/edit"
        return [
            page(f"{one}/<slug:step>/", self.edit, "edit"),
            page(f"{one}/requests/preview/", self.preview, "preview"),
            page(f"{one}/try/send/", self.send, "send"),
            page(f"{one}/answer/read/", self.read, "read"),
            page("<int:number>/export/", self.export, "export"),
            *super().get_urls(),
        ]

    # -- from an example ---------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Begins with an OpenAPI file, a curl and its answer, a file of ours, or nothing; guesses are confirmed."""
        if not self.has_add_permission(request):
            raise Http404
        context: dict[str, Any] = {
            "title": _("Новый конструктор подключения"),
            "given": request.POST,
            "sources": _SOURCES,
        }
        if request.method == "POST":
            try:
                made = self._begin(request, context)
                if made is not None:
                    return redirect(self._address(made.definition, "access"))
            except (Broken, Refused) as error:
                context["problem"] = error.message if isinstance(error, Refused) else str(error)
        return self._page(request, "providers/definition_new.html", context)

    def _begin(self, request: HttpRequest, context: dict[str, Any]) -> DefinitionVersion | None:
        given, actor = request.POST, request.user.get_username()
        source, name = given.get("source", ""), given.get("name", "").strip()
        kept = frozenset(given.getlist("guess")) - frozenset(given.getlist("yes"))
        kept = frozenset(one for one in kept if not one.endswith(("{{ secret }}", "{{ login }}")))
        if source == "file":
            told = definitions.imported(_file(request, "file"))
            return definitions.create(
                name=name or told["name"], document=told["document"], exchange=told["exchange"], actor=actor
            )
        if not name:
            raise Broken(gettext("назовите конструктор"))
        if source == "openapi":
            return self._from_openapi(request, context, name, kept)
        if source == "curl":
            return self._from_curl(request, context, name, kept)
        return definitions.create(name=name, document=documents.blank(), actor=actor)

    def _from_openapi(
        self, request: HttpRequest, context: dict[str, Any], name: str, kept: frozenset[str]
    ) -> DefinitionVersion | None:
        given = request.POST
        text = _file(request, "openapi_file").decode("utf-8", "replace") or given.get("openapi", "")
        found = from_openapi.read(text.encode())
        known = {one.key for one in found.operations}
        chosen = {
            ours: key for ours in documents.OPERATIONS if (key := given.get(f"operation_{ours}", "")) in known
        }
        if not given.get("confirmed"):
            chosen = {one.guess: one.key for one in found.operations if one.guess}
        document, guesses = from_openapi.document(
            found, chosen, base_url=given.get("base_url", ""), kept=kept
        )
        if given.get("confirmed"):
            return definitions.create(name=name, document=document, actor=request.user.get_username())
        context |= {"openapi": text, "found": found, "guesses": guesses, "source": "openapi"}
        context["chosen"] = [
            (ours, title, chosen.get(ours, "")) for ours, title in documents.OPERATIONS.items()
        ]
        return None

    def _from_curl(
        self, request: HttpRequest, context: dict[str, Any], name: str, kept: frozenset[str]
    ) -> DefinitionVersion | None:
        given, actor = request.POST, request.user.get_username()
        found = from_curl.read(given.get("curl", ""), "provision", kept)
        document = documents.blank() | {"base_url": found.base_url, "auth": found.auth}
        document["operations"] = {"provision": found.request}
        document = _with_answer(document, given.get("answer", ""))
        if not given.get("confirmed"):
            context |= {"guesses": found.guesses, "notes": found.notes, "source": "curl", "curl": found}
            context["told"] = document["answer"]["paths"]
            return None
        version = definitions.create(name=name, document=document, actor=actor)
        self._keep_access(version, found, actor)
        self._record(version, "provision", given)
        return version

    def _keep_access(self, version: DefinitionVersion, found: from_curl.Curl, actor: str) -> None:
        """What of the example was access goes to the test connection, encrypted."""
        told = {name: value for name, value in (("login", found.login), ("secret", found.secret)) if value}
        if told:
            trying.set_access(trying.test_connection(version.definition), told, actor=actor)

    def _record(self, version: DefinitionVersion, operation: str, given: Mapping[str, str]) -> None:
        """A pasted answer is an exchange to test by."""
        if (text := given.get("answer", "").strip()) and not definitions.problems(version):
            trying.test_connection(version.definition).guard()
            definitions.record(
                version,
                operation,
                request="",
                status=200,
                content=trying.masked(text.encode()),
                source="example",
            )

    # -- the editor --------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The editor at its first step."""
        return self.edit(request, int(object_id), "access")

    def edit(self, request: HttpRequest, number: int, step: str) -> HttpResponse:
        """One step of the editor."""
        definition = self._definition(request, number)
        if step not in dict(STEPS):
            raise Http404
        actor = request.user.get_username()
        if request.method == "POST":
            if not self.has_change_permission(request, definition):
                raise Http404
            try:
                return self._done(request, definition, step)
            except (Broken, Refused) as error:
                messages.error(request, error.message if isinstance(error, Refused) else str(error))
            return redirect(request.get_full_path())
        if self.has_change_permission(request, definition) and step != "live":
            version = definitions.open_draft(definition, actor=actor)
        else:
            version = cast(DefinitionVersion, definition.versions.first())
        return self._page(request, "providers/definition_edit.html", self._context(request, version, step))

    def _done(self, request: HttpRequest, definition: ConnectorDefinition, step: str) -> HttpResponse:
        actor, given = request.user.get_username(), request.POST
        if step == "live":
            return self._go_live(request, definition)
        version = definitions.open_draft(definition, actor=actor)
        operation = given.get("operation", "provision")
        if step == "access":
            definitions.save(version, editing.access(version.document, given), actor=actor)
            trying.set_access(trying.test_connection(definition), given, actor=actor)
        elif step == "requests":
            self._save_request(request, version, operation)
        elif step == "answer":
            definitions.save(version, editing.answer(version.document, given), actor=actor)
        elif step == "try":
            self._verify(request, version)
        there = given.get("then") or step
        there = there if there in dict(STEPS) else step
        suffix = (
            f"?operation={operation}" if there == "requests" and operation in documents.OPERATIONS else ""
        )
        return redirect(self._address(definition, there) + suffix)

    def _save_request(self, request: HttpRequest, version: DefinitionVersion, operation: str) -> None:
        given, actor = request.POST, request.user.get_username()
        if operation not in documents.OPERATIONS:
            raise Http404
        if given.get("remove"):
            definitions.save(version, editing.removed(version.document, operation), actor=actor)
            return
        if given.get("curl", "").strip():
            found = from_curl.read(given["curl"], operation)
            document = {**version.document}
            document["operations"] = {**document.get("operations", {}), operation: found.request}
            base = str(document.get("base_url") or "").rstrip("/")
            if not base:
                document["base_url"] = found.base_url
            elif base.startswith(found.base_url):
                # The example's path begins where the address of the API does.
                inside = base.removeprefix(found.base_url)
                found.request["path"] = found.request["path"].removeprefix(inside)
            document = _with_answer(document, given.get("answer", ""))
            version = definitions.save(version, document, actor=actor)
            self._record(version, operation, given)
            return
        definitions.save(version, editing.request(version.document, operation, given), actor=actor)

    def _verify(self, request: HttpRequest, version: DefinitionVersion) -> None:
        told = definitions.verify(version, actor=request.user.get_username())
        wrong = [one for one in told if one.problem]
        for one in wrong:
            messages.error(request, f"{one.title}: {one.problem}")
        if not wrong:
            messages.success(request, _("Записанный обмен прочитан верно: версию можно запускать"))

    def _go_live(self, request: HttpRequest, definition: ConnectorDefinition) -> HttpResponse:
        given, actor = request.POST, request.user.get_username()
        version = get_object_or_404(DefinitionVersion, definition=definition, pk=given.get("version") or 0)
        if given.get("restore"):
            definitions.publish(version, actor=actor)
            messages.success(request, _("Снова действует версия %d") % version.number)
            return redirect(self._address(definition, "live"))
        provider = (
            Provider.objects.filter(pk=int(given["provider"])).first() if given.get("provider") else None
        )
        connection = trying.launch(
            version,
            provider=provider,
            provider_name=given.get("provider_name", ""),
            access=given.dict(),
            in_flight=int(given["in_flight"]) if given.get("in_flight", "").isdigit() else None,
            per_second=_float(given.get("per_second", "")),
            actor=actor,
        )
        messages.success(request, _("Запущено: новые заказы идут через «%s»") % connection.name)
        return redirect(self._address(definition, "live"))

    # -- live parts of the page ---------------------------------------------------------------------------

    def preview(self, request: HttpRequest, number: int) -> HttpResponse:
        """What would be sent, for what stands in the form now."""
        version = self._draft(request, number)
        operation = request.POST.get("operation", "provision")
        if operation not in documents.OPERATIONS:
            raise Http404
        document = editing.request(version.document, operation, request.POST)
        found = [
            one for one in documents.problems(document) if one.field.startswith(f"operations.{operation}.")
        ]
        if found:
            told = [
                {"field": one.field.removeprefix(f"operations.{operation}."), "text": str(one)}
                for one in found
            ]
            return JsonResponse({"problems": told})
        try:
            text = trying.preview(version, document, operation, {**_SAMPLE, "request_id": str(uuid4())})
        except (Broken, documents.Unsound, ValueError) as error:
            return JsonResponse({"problems": [{"field": "", "text": str(error)}]})
        return JsonResponse({"request": text})

    def read(self, request: HttpRequest, number: int) -> HttpResponse:
        """What stands at each path of a sample answer."""
        self._draft(request, number)
        form = "xml" if request.POST.get("form") == "xml" else "json"
        try:
            tree = answers.parse(form, request.POST.get("sample", "").encode())
        except Broken as error:
            return JsonResponse({"problem": str(error)})
        found = {}
        for name, path_ in request.POST.dict().items():
            if name.startswith(("path_", "told_")) and path_.strip():
                try:
                    answers.check(form, path_.strip())
                    value = answers.find(form, tree, path_.strip())
                    found[name] = {"value": answers.text(value), "is_there": value is not None}
                except Broken as error:
                    found[name] = {"problem": str(error)}
        return JsonResponse({"found": found})

    def send(self, request: HttpRequest, number: int) -> HttpResponse:
        """Makes a call through the test connection."""
        version = self._draft(request, number)
        try:
            told = trying.attempt(
                version,
                request.POST.get("operation", ""),
                request.POST.dict(),
                actor=request.user.get_username(),
            )
        except (Broken, ValueError) as error:
            return JsonResponse({"problem": str(error)})
        return JsonResponse({name: getattr(told, name) for name in told.__slots__})

    def export(self, request: HttpRequest, number: int) -> HttpResponse:
        """The last version as a file."""
        definition = self._definition(request, number)
        version = definition.live or definition.versions.first()
        if version is None:
            raise Http404
        journal.record(
            "definition.exported",
            "providers.ConnectorDefinition",
            definition.pk,
            actor=request.user.get_username(),
            data={"version": version.number},
        )
        text = json.dumps(definitions.exported(version), ensure_ascii=False, indent=2)
        answer = HttpResponse(text, content_type="application/json")
        answer["Content-Disposition"] = f'attachment; filename="{definition.code}-{version.number}.json"'
        return answer

    # -- parts ---------------------------------------------------------------------------------------------

    def _definition(self, request: HttpRequest, number: int) -> ConnectorDefinition:
        if not self.has_view_permission(request):
            raise Http404
        return get_object_or_404(ConnectorDefinition, pk=number)

    def _draft(self, request: HttpRequest, number: int) -> DefinitionVersion:
        definition = self._definition(request, number)
        if request.method != "POST" or not self.has_change_permission(request, definition):
            raise Http404
        return definitions.open_draft(definition, actor=request.user.get_username())

    def _address(self, definition: ConnectorDefinition, step: str) -> str:
        return reverse("admin:providers_connectordefinition_edit", args=[definition.pk, step])

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        shown = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "states": documents.STATES,
            **context,
        }
        return TemplateResponse(request, template, shown)

    def _context(self, request: HttpRequest, version: DefinitionVersion, step: str) -> dict[str, Any]:
        definition, found = version.definition, definitions.problems(version)
        connection = trying.test_connection(definition)
        config = connection.config
        context: dict[str, Any] = {
            "title": definition.name,
            "definition": definition,
            "version": version,
            "step": step,
            "steps": _steps(definition, version, step, found, self._address),
            "problems": [one for one in found if one.field.split(".")[0] in _STARTS[step]],
            "document": version.document,
            "connection": connection,
            "may_change": self.has_change_permission(request, definition)
            and (version.is_open or step == "live"),
            "tails": {name: secrets.tail(config.get(name)) for name in ("secret", "callback_secret")},
            "is_set": {name: bool(config.get(name)) for name in ("secret", "callback_secret")},
            "config": {name: config.get(name, "") for name in ("base_url", "login", "account")},
            "callback_url": callback_url(connection.pk),
            "default_message": "{{ body }}",
        }
        return context | getattr(self, f"_{step}_context")(request, version, found)

    def _access_context(
        self, _request: HttpRequest, version: DefinitionVersion, _found: Any
    ) -> dict[str, Any]:
        auth = version.document.get("auth") or {}
        return {
            "auth": auth,
            "auths": documents.AUTHS.items(),
            "digests": documents.DIGESTS,
            "encodings": documents.ENCODINGS,
            "auth_headers": editing.lines(auth.get("headers"), ":"),
            "fields_told": [*fields.SIGNED, *fields.OURS],
        }

    def _requests_context(
        self, request: HttpRequest, version: DefinitionVersion, found: Any
    ) -> dict[str, Any]:
        operation = request.GET.get("operation", "provision")
        operation = operation if operation in documents.OPERATIONS else "provision"
        operations = version.document.get("operations") or {}
        one = operations.get(operation) or {"method": "POST", "path": "/"}
        wrong = {problem.field.split(".")[1] for problem in found if problem.field.startswith("operations.")}
        return {
            "operation": operation,
            "operation_title": documents.OPERATIONS[operation],
            "is_described": operation in operations,
            "operations": [
                (name, title, "wrong" if name in wrong else "done" if name in operations else "")
                for name, title in documents.OPERATIONS.items()
            ],
            "one": one,
            "methods": documents.METHODS,
            "bodies": documents.BODIES.items(),
            "query": editing.lines(one.get("query"), "="),
            "headers": editing.lines(one.get("headers"), ":"),
            "body": editing.body_text(one),
            "fields_told": [*fields.ORDERED, *fields.OURS],
            "filters_told": [(name, _FILTERS_TOLD[name]) for name in FILTERS if name in _FILTERS_TOLD],
        }

    def _answer_context(
        self, _request: HttpRequest, version: DefinitionVersion, _found: Any
    ) -> dict[str, Any]:
        answer = version.document.get("answer") or {}
        callback = version.document.get("callback") or {}
        told = (callback.get("answer") or {}).get("paths") or {}
        paths = answer.get("paths") or {}
        sample: dict[str, Any] = next(
            iter([*version.of("provision"), *version.of("status"), *version.exchange]), {}
        )
        return {
            "answer": answer,
            "paths": [(name, title, paths.get(name, "")) for name, title in documents.PATHS.items()],
            "word_states": _words(documents.STATES, answer.get("states")),
            "word_codes": _words(documents.CODES, answer.get("codes")),
            "deliveries": documents.DELIVERIES.items(),
            "callback": callback,
            "verifies": documents.VERIFIES.items(),
            "digests": documents.DIGESTS,
            "encodings": documents.ENCODINGS,
            "told": [
                (name, documents.CALLBACK_PATHS[name], told.get(name, ""))
                for name in ("request_id", "service_id", "status", "key", "url", "error", "message")
            ],
            "sample": _pretty(sample.get("content", "")),
        }

    def _try_context(self, _request: HttpRequest, version: DefinitionVersion, found: Any) -> dict[str, Any]:
        operations = version.document.get("operations") or {}
        told = [] if found else list(definitions.tried(version))
        return {
            "operations": [
                (name, title) for name, title in documents.OPERATIONS.items() if name in operations
            ],
            "sample": {**_SAMPLE, "request_id": str(uuid4()), "extension_id": str(uuid4())},
            "tried": told,
            "state_titles": documents.STATES,
            "recorded": [
                (documents.OPERATIONS[one["operation"]], one)
                for one in version.exchange
                if one["operation"] in operations
            ],
            "all_problems": found,
        }

    def _live_context(self, _request: HttpRequest, version: DefinitionVersion, found: Any) -> dict[str, Any]:
        code = version.definition.code
        live = next((one for one in definitions.connections_of(code) if not one.is_test), None)
        reached = Provider.objects.filter(connection=live) if live else Provider.objects.none()
        operations = version.document.get("operations") or {}
        return {
            "all_problems": found,
            "warnings": trying.warnings(version),
            "checks": [
                (_("Описание без ошибок"), not found),
                (_("«Подключить» опробовано: обмен записан"), bool(version.of("provision"))),
                (_("Состояние узнаётся"), "status" in operations),
                (_("Записанный обмен прочитан верно"), version.tested_at is not None),
            ],
            "providers": Provider.objects.filter(is_archived=False),
            "reached": list(reached),
            "live_connection": live,
            "versions": list(version.definition.versions.all()[:20]),
            "limits": {name: version.document.get(name) or "" for name in ("in_flight", "per_second")},
        }


_SAMPLE = {
    "sku": "ANTIVIRUS-1Y",
    "customer_ref": "0192f3a4-0000-7000-8000-00000000c0de",
    "period_end": "2027-01-31",
    "parameters": "{}",
    "service_id": "",
}


def _steps(
    definition: ConnectorDefinition,
    version: DefinitionVersion,
    step: str,
    found: list[documents.Problem],
    address: Any,
) -> list[dict[str, Any]]:
    starts = {problem.field.split(".")[0] for problem in found}
    tested = version.tested_at is not None
    done = {
        "access": bool(version.document.get("base_url")),
        "requests": bool(version.document.get("operations")),
        "answer": bool((version.document.get("answer") or {}).get("paths")),
        "try": tested,
        "live": version.state == DefinitionVersion.State.LIVE,
    }
    return [
        {
            "code": code,
            "title": title,
            "url": address(definition, code),
            "is_now": code == step,
            "is_wrong": bool(starts & set(_STARTS[code])),
            "is_done": done[code] and not starts & set(_STARTS[code]),
        }
        for code, title in STEPS
    ]


def _with_answer(document: dict[str, Any], text: str) -> dict[str, Any]:
    """The document with what a pasted answer has told. Raises Broken."""
    if not text.strip():
        return document
    form = guessing.form_of(text)
    told = guessing.reading_of(form, answers.parse(form, text.encode()))
    return editing.merged(document, {"form": form, **told})


def _file(request: HttpRequest, name: str) -> bytes:
    found: Any = request.FILES.get(name)
    return bytes(found.read()) if found else b""


def _words(known: Mapping[str, Any], found: Mapping[str, Any] | None) -> list[tuple[str, Any, str]]:
    return [(name, title, ", ".join((found or {}).get(name) or [])) for name, title in known.items()]


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        return text


def _float(text: str) -> float | None:
    try:
        return float(text.replace(",", ".")) if text.strip() else None
    except ValueError:
        return None
