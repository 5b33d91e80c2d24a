"""Console: «Взаиморасчёты с клиентами», the account of each customer for a period."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.accounts.models import Customer
from apps.billing import payouts, statements
from apps.billing.accounts_of import CustomerAccount
from apps.billing.payout_admin import PayoutPages
from apps.billing.statement_api import as_file
from apps.core import console, links, spans
from apps.core.money import Money


@console.register(CustomerAccount, sites=(console.partner_site,))
class CustomerAccountAdmin(PayoutPages, console.ReadOnlyAdmin):
    """Customers with what stands on their balance; each leads to its statement."""

    list_display = ("who", "phone", "email", "on_balance")
    list_select_related = ("balance",)
    search_fields = ("name", "phone", "email", "external_id")
    actions_detail = ("pay_out",)

    @display(description=_("клиент"))
    def who(self, customer: Customer) -> str:
        return str(customer)

    @display(description=_("на балансе"), ordering="balance__amount")
    def on_balance(self, customer: Any) -> str:
        balance = getattr(customer, "balance", None)
        return str(Money(balance.amount, balance.currency)) if balance and balance.amount else "—"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        return super().get_queryset(request).select_related("balance")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The statement on the screen, and as a file with `?format=xlsx` or `pdf`."""
        customer = self.get_object(request, object_id)
        if customer is None or not self.has_view_permission(request, customer):
            raise Http404
        form = spans.SpanForm(request.GET)
        found: list[statements.Statement] = []
        if form.is_valid():
            found = statements.of(customer, **form.cleaned_data)
            if (ending := request.GET.get("format")) in {"xlsx", "pdf"}:
                return as_file(found, ending)
        asked = request.GET.copy()
        asked.pop("format", None)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Взаиморасчёты: %s") % customer,
            "opts": self.opts,
            "form": form,
            "query": asked.urlencode(),
            "seen": payouts.look(customer.pk),
            "may_pay_out": self.has_money_permission(request),
            "pay_out": reverse("admin:billing_customeraccount_pay_out", args=[customer.pk]),
            "statements": [(one, statements.above(one)[2:], _linked(one)) for one in found],
        }
        return TemplateResponse(request, "billing/statement.html", context)


def _linked(statement: statements.Statement) -> list[tuple[statements.Entry, Any]]:
    return [(one, links.linked(one.title, links.to(one.kind, one.object_id))) for one in statement.entries]
