"""Console: the ledger, to be read."""

from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter

from apps.core import console
from apps.ledger.models import Transfer


@console.register(Transfer, sites=(console.operator_site,))
class TransferAdmin(console.ReadOnlyAdmin):
    """Transfers over all partners."""

    view_roles = ("manager", "finance")
    list_display = (
        "business_date",
        "partner",
        "document_kind",
        "posting",
        "debit",
        "credit",
        "amount",
        "currency",
        "kind",
        "is_sandbox",
    )
    list_filter = (
        ("business_date", RangeDateFilter),
        "debit",
        "credit",
        "kind",
        "document_kind",
        "partner",
        "is_sandbox",
    )
    list_filter_submit = True
    list_select_related = ("partner",)
    search_fields = ("document_id", "customer_id", "subscription_id")
    search_help_text = _("Номер (UUID) документа, клиента или подписки целиком")
    ordering = ("-id",)
    show_full_result_count = False
