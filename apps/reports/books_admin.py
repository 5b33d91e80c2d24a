"""Console: the trial balance with the chart of accounts, and the account of a partner."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from apps.core import console, papers, sheets, spans
from apps.ledger import chart, trial_balance
from apps.ledger.models import Account
from apps.partners.models import LegalEntity, Partner
from apps.reports import partner_statement
from apps.reports.models import PartnerStatement, TrialBalance
from apps.reports.page import Page


class BooksForm(spans.SpanForm):
    """Whose books, for which days."""

    partner = forms.ModelChoiceField(
        Partner.objects.all(), label=_("Партнёр"), required=False, empty_label=_("Все, кроме песочниц")
    )
    seller = forms.ModelChoiceField(
        LegalEntity.objects.all(), label=_("Юридическое лицо"), required=False, empty_label=_("Все")
    )

    def question(self) -> trial_balance.Question:
        """What the form asks; it must be valid."""
        given = self.cleaned_data
        partner, seller = given["partner"], given["seller"]
        return trial_balance.Question(
            since=given["since"],
            until=given["until"],
            partner_id=partner.pk if partner else None,
            seller_id=seller.pk if seller else None,
            sandbox=bool(partner and partner.is_sandbox),
        )


HEADINGS = (
    _("Счёт"),
    _("Название"),
    _("Начало, дебет"),
    _("Начало, кредит"),
    _("Оборот, дебет"),
    _("Оборот, кредит"),
    _("Конец, дебет"),
    _("Конец, кредит"),
)


@console.register(TrialBalance, sites=(console.operator_site,))
class TrialBalanceAdmin(Page):
    """«Оборотно-сальдовая ведомость»: each sum leads to its transfers, and they to their documents."""

    view_roles = ("manager", "finance")

    def get_urls(self) -> list[URLPattern]:
        shown = path("chart/", self.admin_site.admin_view(self.chart), name="reports_trialbalance_chart")
        return [shown, *super().get_urls()]

    def page(self, request: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = BooksForm(request.GET)
        context: dict[str, Any] = {"title": _("Оборотно-сальдовая ведомость"), "form": form}
        if form.is_valid():
            question = form.question()
            books = trial_balance.answer(question)
            if (ending := request.GET.get("format")) in {"xlsx", "pdf"}:
                return _file([_sheet(one, question) for one in books], "trial-balance", question, ending)
            asked = request.GET.copy()
            asked.pop("format", None)
            context |= {
                "question": question,
                "headings": HEADINGS,
                "books": [
                    (one, [(row, _transfers(question, row.account)) for row in one.rows]) for one in books
                ],
                "query": asked.urlencode(),
            }
        return self.show(request, "reports/trial_balance.html", **context)

    def chart(self, request: HttpRequest) -> HttpResponse:
        """«План счетов и проводки»."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        accounts = [(Account(key), entry) for key, entry in chart.CHART.items()]
        events = [
            (one.title, [(rule, Account(rule.debit), Account(rule.credit)) for rule in one.rules])
            for one in chart.EVENTS
        ]
        return self.show(
            request,
            "reports/chart.html",
            title=_("План счетов и проводки"),
            accounts=sorted(accounts, key=lambda pair: pair[1].number),
            events=[
                (
                    title,
                    [
                        (rule, debit, chart.CHART[debit], credit, chart.CHART[credit])
                        for rule, debit, credit in rules
                    ],
                )
                for title, rules in events
            ],
        )


def _transfers(question: trial_balance.Question, account: str) -> str:
    """The address of the period's transfers of an account."""
    asked: dict[str, Any] = {
        "account": account,
        "business_date_from": f"{question.since:%Y-%m-%d}",
        "business_date_to": f"{question.until:%Y-%m-%d}",
    }
    if question.partner_id is not None:
        asked["partner__id__exact"] = question.partner_id
    else:
        asked["is_sandbox__exact"] = 0
    if question.seller_id is not None:
        asked["seller__id__exact"] = question.seller_id
    return f"{reverse('admin:ledger_transfer_changelist')}?{urlencode(asked)}"


def _sheet(balance: trial_balance.Balance, question: trial_balance.Question) -> sheets.Sheet:
    span = {"since": f"{question.since:%d.%m.%Y}", "until": f"{question.until:%d.%m.%Y}"}
    return sheets.Sheet(
        title=str(_("ОСВ %s") % balance.currency),
        above=[
            str(_("Оборотно-сальдовая ведомость, %s") % balance.currency),
            str(_("Период: %(since)s – %(until)s") % span),
        ],
        headings=HEADINGS,
        rows=[[row.number, row.title, *row.columns()] for row in balance.rows],
        totals=["", str(_("Всего")), *balance.totals],
        widths=(10, 32, *[16] * 6),
    )


class PartnerForm(spans.SpanForm):
    """Whose account, for which days; a partner's console asks for its own, whatever the address says."""

    partner = forms.ModelChoiceField(Partner.objects.all(), label=_("Партнёр"), required=False)

    def __init__(self, data: Any, *, own: Partner | None) -> None:
        self.own = own
        super().__init__(data)
        if own is not None:
            del self.fields["partner"]

    def chosen(self) -> Partner | None:
        """Whose account it is; the form must be valid."""
        found: Partner | None = self.own or self.cleaned_data["partner"]
        return found


@console.register(PartnerStatement, sites=(console.operator_site, console.partner_site))
class PartnerStatementAdmin(Page):
    """«Взаиморасчёты»: sales, VAT, refunds, share, what was taken back and what is due."""

    view_roles = ("manager", "finance")

    def page(self, request: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = PartnerForm(request.GET, own=request.tenant)
        title = _("Взаиморасчёты с партнёрами") if request.tenant is None else _("Взаиморасчёты с платформой")
        context: dict[str, Any] = {
            "title": title,
            "form": form,
            "measures": partner_statement.MEASURES.values(),
        }
        if form.is_valid() and (partner := form.chosen()):
            span = {name: form.cleaned_data[name] for name in ("since", "until")}
            found = partner_statement.of(partner, **span)
            if (ending := request.GET.get("format")) in {"xlsx", "pdf"}:
                made = [sheet for one in found for sheet in partner_statement.sheets_of(one)]
                return _file(made, f"partner-{partner.slug}", found[0], ending)
            asked = request.GET.copy()
            asked.pop("format", None)
            context |= {"statements": found, "partner": partner, "query": asked.urlencode()}
        return self.show(request, "reports/partner_statement.html", **context)


def _file(made: list[sheets.Sheet], name: str, span: Any, ending: str) -> HttpResponse:
    made = made or [sheets.Sheet(str(_("Пусто")), [str(_("За этот период проводок нет"))], [])]
    name = f"{name}-{span.since:%Y-%m-%d}-{span.until:%Y-%m-%d}.{ending}"
    if ending == "pdf":
        return sheets.file(papers.pdf(made), name, sheets.PDF)
    return sheets.file(sheets.xlsx(made), name)
