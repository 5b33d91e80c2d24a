"""What the report is asked: the form above it, limited to what its reader may see."""

from datetime import timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Product
from apps.channels.models import Channel
from apps.core import clock
from apps.ledger.models import Sale
from apps.partners.models import Partner
from apps.reports.sales import DIMENSIONS, Question

LONGEST = timedelta(days=366 * 3)
_DAY = {"type": "date"}


def _with_period(data: QueryDict) -> QueryDict:
    """What was asked, with the current month where no days were."""
    given, today = data.copy(), clock.today()
    given["until"] = given.get("until") or f"{today:%Y-%m-%d}"
    given["since"] = given.get("since") or f"{given['until']}"[:8] + "01"
    return given


class SalesForm(forms.Form):
    """All fields may be left out: then it is the current month by day."""

    since = forms.DateField(label=_("С"), widget=forms.DateInput(_DAY, format="%Y-%m-%d"))
    until = forms.DateField(label=_("По"), widget=forms.DateInput(_DAY, format="%Y-%m-%d"))
    partner = forms.ModelChoiceField(
        Partner.objects.filter(is_sandbox=False), label=_("Партнёр"), required=False, empty_label=_("Все")
    )
    product = forms.ModelChoiceField(
        Product.objects.all(), label=_("Продукт"), required=False, empty_label=_("Все")
    )
    channel = forms.CharField(label=_("Код канала"), required=False, max_length=40)
    kind = forms.ChoiceField(label=_("Вид продажи"), required=False, choices=[("", _("Все")), *Sale.choices])
    by = forms.MultipleChoiceField(
        label=_("Строки"), required=False, choices=DIMENSIONS.items(), widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, data: QueryDict, *, partner: Partner | None) -> None:
        # A partner's console asks for its own, whatever the address says.
        self.own = partner
        super().__init__(_with_period(data))
        if partner is not None:
            del self.fields["partner"]
            sold = Product.objects.filter(tariffs__offers__partner=partner).distinct()
            self.fields["product"] = forms.ModelChoiceField(
                sold, label=_("Продукт"), required=False, empty_label=_("Все")
            )
            own = [(code, name) for code, name in Channel.objects.values_list("code", "name")]
            self.fields["channel"] = forms.ChoiceField(
                label=_("Канал"), required=False, choices=[("", _("Все")), *own]
            )
            self.fields["by"] = forms.MultipleChoiceField(
                label=_("Строки"),
                required=False,
                choices=[pair for pair in DIMENSIONS.items() if pair[0] != "partner"],
                widget=forms.CheckboxSelectMultiple,
            )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        since, until = given.get("since"), given.get("until")
        if since and until and since > until:
            self.add_error("since", _("Начало периода позже конца"))
        elif since and until and until - since > LONGEST:
            self.add_error("since", _("Период длиннее трёх лет"))
        return given

    def question(self) -> Question:
        """The question, in which a partner's console always stands for that partner. The form must be valid."""
        given = self.cleaned_data
        chosen = self.own or given.get("partner")
        return Question(
            since=given["since"],
            until=given["until"],
            by=tuple(name for name in DIMENSIONS if name in given["by"]) or ("day",),
            partner_id=chosen.pk if chosen else None,
            product_id=given["product"].pk if given["product"] else None,
            channel=given["channel"],
            kind=given["kind"],
            own_sandbox=bool(self.own and self.own.is_sandbox),
        )
