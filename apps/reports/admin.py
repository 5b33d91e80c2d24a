"""Console: the report «Продажи», the search over all partners, incoming calls, and the state of the clockwork."""

import json
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask
from unfold.decorators import display

from apps.core import clock, console
from apps.core.health import healthz
from apps.reports import books_admin, downloads, finding, recovery_admin, sales
from apps.reports.dashboard import SHOWN_CURRENCY, bars
from apps.reports.forms import SalesForm
from apps.reports.models import Sales, Search
from apps.reports.page import Page

SHOWN_ROWS = 500
SHOWN_BARS = 40
PARTS = {
    "database": _("База данных"),
    "web": _("Веб-сервер"),
    "intake": _("Приём сообщений шлюзов и поставщиков"),
    "worker": _("Исполнитель работ"),
    "lanes": _("Исполнитель внешних запросов"),
    "beat": _("Планировщик"),
    "broker": _("Брокер сообщений"),
    "yookassa": _("Симулятор ЮKassa"),
    "tbank": _("Симулятор Т-Банка"),
    "cloudpayments": _("Симулятор CloudPayments"),
    "robokassa": _("Симулятор Robokassa"),
    "atol": _("Симулятор АТОЛ Онлайн"),
    "partner": _("Симулятор системы партнёра"),
    "smsaero": _("Симулятор SMS Aero"),
    "provider": _("Симулятор поставщика"),
    "mailbox": _("Почтовый ящик"),
}
TASKS = {
    "settlements.morning": _("Сверка со шлюзами за вчера"),
    "orders.look_at_board": _("Письма дежурным о том, что стоит"),
    "core.tick": _("Списания, напоминания и сроки"),
    "core.audit": _("Ночная сверка данных"),
    "core.housekeeping": _("Уборка старых записей"),
    "celery.backend_cleanup": _("Уборка ответов заданий"),
}


@console.register(Sales, sites=(console.operator_site, console.partner_site))
class SalesAdmin(Page):
    """The report on the screen, and as a file with `?format=csv` or `xlsx`."""

    view_roles = ("manager", "finance")

    def page(self, request: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = SalesForm(request.GET, partner=request.tenant)
        if not form.is_valid():
            return self.show(request, "reports/sales.html", title=_("Продажи"), form=form)
        question = form.question()
        rows = sales.answer(question)
        if (file := request.GET.get("format")) in {"csv", "xlsx"}:
            return (downloads.as_csv if file == "csv" else downloads.as_xlsx)(question, rows)
        asked = request.GET.copy()
        asked.pop("format", None)
        context = {
            "title": _("Продажи"),
            "form": form,
            "question": question,
            "headings": [sales.DIMENSIONS[name] for name in question.by],
            "measures": list(sales.MEASURES.values()),
            "rows": rows[:SHOWN_ROWS],
            "hidden": max(0, len(rows) - SHOWN_ROWS),
            "totals": sales.totals(rows),
            "chart": _chart(rows),
            "query": asked.urlencode(),
        }
        return self.show(request, "reports/sales.html", **context)


def _chart(rows: list[sales.Row]) -> str:
    """Bars by the first dimension; where there are too many, by no more than fit."""
    summed: dict[str, list[Any]] = {}
    for row in rows:
        if row.currency == SHOWN_CURRENCY:
            name = row.names[0]
            bar = summed.setdefault(name if isinstance(name, str) else f"{name:%d.%m.%y}", [0, 0])
            bar[0], bar[1] = bar[0] + row.new, bar[1] + row.renewal
    shown = list(summed.items())[-SHOWN_BARS:]
    return bars([name for name, _bar in shown], [bar for _name, bar in shown]) if shown else ""


@console.register(Search, sites=(console.operator_site,))
class SearchAdmin(Page):
    """One box over all partners; and the calls that come in, whose cards open."""

    def get_urls(self) -> list[URLPattern]:
        calls = path("calls/", self.admin_site.admin_view(self.calls), name="reports_search_calls")
        return [calls, *super().get_urls()]

    def page(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        text = request.GET.get("q", "").strip()[:200]
        found = finding.find(text) if text else []
        if "open" in request.GET and len(found) == 1 and found[0].url:
            return redirect(found[0].url)
        return self.show(request, "reports/search.html", title=_("Поиск"), text=text, found=found)

    def calls(self, request: HttpRequest) -> HttpResponse:
        """The latest calls; as JSON with `?news=<word>`, which the page asks every other second.

        The answer is empty while there is no news since that word.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        news, username = finding.news_of_calls(), request.user.get_username()
        if "news" not in request.GET:
            context = {"calls": finding.recent_calls(), "news": news, "username": username}
            return self.show(request, "reports/calls.html", title=_("Звонки"), **context)
        calls = finding.recent_calls() if request.GET["news"] != news else []
        return JsonResponse({"news": news, "calls": [_as_json(call, username) for call in calls]})


def _as_json(call: finding.Call, username: str) -> dict[str, Any]:
    return {
        "number": call.number,
        "partner": call.partner,
        "phone": call.phone,
        "customer": call.customer,
        "state": call.state,
        "agent": call.agent,
        "at": f"{clock.local(call.started_at):%d.%m %H:%M}",
        "card": call.card,
        # The card opens for the agent who is named, and for nobody else.
        "mine": call.is_live and call.agent == username,
    }


@console.register(PeriodicTask, sites=(console.operator_site,))
class PeriodicTaskAdmin(console.ReadOnlyAdmin):
    """«Состояние системы»: what runs by the clock, and when it last did."""

    # The package's own headings are half English.
    list_display = fields = ("title", "when", "works", "ran_at", "runs")
    list_display_links = ("title",)
    list_before_template = "reports/health.html"
    view_roles = ()

    @display(description=_("название"), ordering="name")
    def title(self, row: PeriodicTask) -> str:
        return str(TASKS.get(row.task, row.name))

    @display(description=_("расписание"))
    def when(self, row: PeriodicTask) -> str:
        if row.interval:
            return _("каждые %d с") % row.schedule.run_every.total_seconds()
        daily = row.crontab
        if daily and daily.hour.isdecimal() and daily.minute.isdecimal():
            time = f"{int(daily.hour):02d}:{int(daily.minute):02d}"
            return _("ежедневно в {time}").format(time=time)
        return str(row.scheduler)

    @display(description=_("включена"), boolean=True)
    def works(self, row: PeriodicTask) -> bool:
        return bool(row.enabled)

    @display(description=_("последний запуск"), ordering="last_run_at")
    def ran_at(self, row: PeriodicTask) -> Any:
        return row.last_run_at

    @display(description=_("запусков"), ordering="total_run_count")
    def runs(self, row: PeriodicTask) -> int:
        return int(row.total_run_count)

    def changelist_view(self, request: Any, extra_context: Any = None) -> HttpResponse:
        said = json.loads(healthz(request).content)
        parts = [(PARTS.get(part, part), state == "ok") for part, state in said["parts"].items()]
        title = _("Состояние системы")
        return super().changelist_view(request, {"title": title, "parts": parts, **(extra_context or {})})


__all__ = ["books_admin", "recovery_admin"]
"""Pages of their own, registered when they are imported here."""
