"""API: what the partner sells."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.routers import SimpleRouter

from apps.catalog import halts, parameters
from apps.catalog.models import Offer
from apps.core import clock
from apps.core.api import CursorPages
from apps.policies import vat

EXAMPLE = {
    "id": 17,
    "code": "KINO-M",
    "product": {
        "code": "KINO",
        "name": "Онлайн-кинотеатр Премьера",
        "category": "razvlecheniya",
        "delivery": "account",
    },
    "name": "Месяц",
    "description": "",
    "version": 41,
    "price": "399.00",
    "currency": "RUB",
    "period": {"count": 1, "unit": "month"},
    "trial_days": 14,
    "trial_needs_method": True,
    "vat": "22.00",
    "parameters": [{"code": "ekranov", "name": "экранов", "kind": "int", "value": 2}],
    "questions": [],
    "features": {"screens": 2, "downloads": True},
    "rules": {"min_age": None, "regions": [], "once_per_person": False, "companies_only": False},
    "payer": "charge",
    "hold_first": False,
    "availability": {"state": "open", "until": None, "promised_at": None, "message": ""},
    "parts": [],
}


class OfferProduct(serializers.Serializer[Any]):
    """The product of an offer."""

    code = serializers.CharField()
    name = serializers.CharField()
    category = serializers.CharField(source="category.code", help_text=_("Код категории"))
    delivery = serializers.CharField(help_text=_("Выдача: key, account, deeplink, manual, bundle"))


class Period(serializers.Serializer[Any]):
    """A billing period."""

    count = serializers.IntegerField(source="period_count")
    unit = serializers.CharField(source="period_unit", help_text="day, week, month, year")


class OfferParameter(serializers.Serializer[Any]):
    """A typed parameter of a tariff."""

    code = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=parameters.Kind.choices)
    value = serializers.JSONField(help_text=_("Число, «unlimited», да/нет или строка, по kind"))


class OfferQuestion(serializers.Serializer[Any]):
    """What the customer is asked when ordering."""

    code = serializers.CharField()
    name = serializers.CharField()
    help = serializers.CharField()
    kind = serializers.ChoiceField(choices=parameters.Kind.choices)
    choices = serializers.ListField(child=serializers.CharField())
    is_required = serializers.BooleanField()
    minimum = serializers.IntegerField(allow_null=True, help_text=_("Числа или длины строки"))
    maximum = serializers.IntegerField(allow_null=True)
    pattern = serializers.CharField(help_text=_("Регулярное выражение всей строки"))


class OfferRules(serializers.Serializer[Any]):
    """To whom the product is sold."""

    min_age = serializers.IntegerField(allow_null=True)
    regions = serializers.ListField(child=serializers.CharField(), help_text=_("Коды; пусто: везде"))
    once_per_person = serializers.BooleanField()
    companies_only = serializers.BooleanField()


class OfferAvailability(serializers.Serializer[halts.Halt]):
    """Whether an offer may be ordered just now."""

    state = serializers.ChoiceField(
        choices=["open", "late", "stopped"],
        help_text=_(
            "open; late: продаётся, выдадим к promised_at; stopped: пока не продаётся (offer_stopped)"
        ),
    )
    until = serializers.DateTimeField(
        allow_null=True, help_text=_("Когда ждём продажи; пусто: неизвестно, откроются сами")
    )
    promised_at = serializers.DateTimeField(allow_null=True, help_text=_("К какому сроку обещана выдача"))
    message = serializers.CharField(source="words", help_text=_("Что сказать клиенту"))


class OfferSerializer(serializers.Serializer[Offer]):
    """A tariff that the partner sells, with the terms of today."""

    id = serializers.IntegerField(help_text=_("Номер предложения: передаётся при заказе"))
    code = serializers.CharField(source="tariff.code")
    product = OfferProduct(source="tariff.product")
    name = serializers.CharField(source="tariff.name")
    description = serializers.CharField(source="tariff.description")
    version = serializers.IntegerField(source="tariff.current_id", help_text=_("Номер условий"))
    price = serializers.DecimalField(14, 2, source="unit_price", help_text=_("С НДС"))
    currency = serializers.CharField(source="tariff.current.currency")
    period = Period(source="tariff.current")
    trial_days = serializers.IntegerField(source="tariff.current.trial_days")
    trial_needs_method = serializers.BooleanField(
        source="tariff.current.trial_needs_method",
        help_text=_("false: пробный период начинается без карты, в конце клиент выбирает, как платить"),
    )
    vat = serializers.SerializerMethodField(help_text=_("Ставка, %; пусто: без НДС"))
    parameters = serializers.SerializerMethodField()
    questions = serializers.SerializerMethodField(help_text=_("Что спросить у клиента: answers заказа"))
    features = serializers.SerializerMethodField(help_text=_("Возможности: код и да или число"))
    rules = OfferRules(source="tariff.product", help_text=_("Кому продаётся: declared заказа"))
    payer = serializers.CharField(
        help_text=_("Кто платит: charge, partner_reports, partner_charges, partner_pays")
    )
    hold_first = serializers.BooleanField(
        help_text=_("true: первый платёж удерживается и списывается при выдаче")
    )
    availability = serializers.SerializerMethodField(help_text=_("Можно ли заказать сейчас"))
    parts = serializers.SerializerMethodField(help_text=_("Коды тарифов, из которых состоит пакет"))

    @extend_schema_field(OfferAvailability)
    def get_availability(self, offer: Offer) -> Any:
        halt = self.context["halts"].get(offer.pk)
        return OfferAvailability(halt or halts.OPEN).data

    @extend_schema_field(serializers.DecimalField(5, 2, allow_null=True))
    def get_vat(self, offer: Offer) -> str | None:
        rate = vat.percent(offer.current_version().vat_code, self.context["today"])
        return None if rate is None else f"{rate:.2f}"

    @extend_schema_field(OfferParameter(many=True))
    def get_parameters(self, offer: Offer) -> Any:
        return OfferParameter(offer.parameters(), many=True).data

    @extend_schema_field(OfferQuestion(many=True))
    def get_questions(self, offer: Offer) -> Any:
        return OfferQuestion(offer.questions(), many=True).data

    @extend_schema_field(serializers.DictField())
    def get_features(self, offer: Offer) -> dict[str, Any]:
        return dict(offer.current_version().features)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_parts(self, offer: Offer) -> list[str]:
        return (
            [part.code for part in offer.tariff.parts()] if offer.tariff.product.delivery == "bundle" else []
        )


class OfferFilter(filters.FilterSet):
    """By product, category and tariff."""

    product = filters.CharFilter("tariff__product__code", label=_("Артикул продукта"))
    category = filters.CharFilter("tariff__product__category__code", label=_("Код категории"))
    code = filters.CharFilter("tariff__code", label=_("Код тарифа"))

    class Meta:
        model = Offer
        fields: list[str] = []


class OfferPages(CursorPages):
    """In the order of the shop window."""

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> tuple[str, ...]:
        return ("sort", "id")


@extend_schema_view(
    list=extend_schema(
        summary=_("Предложения"), examples=[OpenApiExample("offer", summary=_("Предложение"), value=EXAMPLE)]
    ),
    retrieve=extend_schema(
        summary=_("Предложение"), examples=[OpenApiExample("offer", summary=_("Предложение"), value=EXAMPLE)]
    ),
)
@extend_schema(tags=["offers"])
class OffersViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Offer]):
    """What the partner sells now in the key's channel, at today's terms."""

    required_scopes = {"GET": "offers:read"}
    serializer_class = OfferSerializer
    filterset_class = OfferFilter
    pagination_class = OfferPages
    queryset = Offer.objects.none()

    def get_queryset(self) -> QuerySet[Offer]:
        key: Any = self.request.auth
        # The page that describes the API has no key.
        found: QuerySet[Offer] = key.listed() if key else Offer.objects.none()
        return found

    def paginate_queryset(self, queryset: Any) -> Any:
        return self._explained(super().paginate_queryset(queryset) or [])

    def get_object(self) -> Offer:
        [found] = self._explained([super().get_object()])
        return found

    def _explained(self, found: list[Offer]) -> list[Offer]:
        self.halts = halts.explain(found)
        return found

    def get_serializer_context(self) -> dict[str, Any]:
        context = {"today": clock.today(), "halts": getattr(self, "halts", {})}
        return {**super().get_serializer_context(), **context}


def routes(router: SimpleRouter) -> None:
    """Adds /offers/ to the API."""
    router.register("offers", OffersViewSet, basename="offer")
