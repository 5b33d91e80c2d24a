"""`/api/v1/customers/`: the partner's system registers customers, finds and changes them."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter

from apps.accounts import companies, contact_change, contacts, customers, recycled
from apps.accounts.models import ActSchedule, Company, Customer, Language
from apps.core.errors import Refused
from apps.journal.api import idempotent

ANNA = {
    "phone": "+79161234567",
    "email": "anna@example.ru",
    "external_id": "client-1042",
    "name": "Анна Смирнова",
    "language": "ru",
}
COMPANY = {
    "name": "ООО «Ромашка»",
    "inn": "7707083893",
    "kpp": "770701001",
    "address": "117312, Москва, ул. Вавилова, 19",
    "documents_email": "buh@romashka.example",
    "pay_days": 10,
    "days_ahead": 14,
    "acts": "month",
}
ANSWER = {
    "id": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    **ANNA,
    "wants_documents": False,
    "company": None,
    "created_at": "2026-11-27T09:15:00Z",
    "erased_at": None,
}


class CompanySerializer(serializers.ModelSerializer[Company]):
    """Requisites of a customer that is a company; checked as a whole when they are kept."""

    name = serializers.CharField(max_length=200, required=False)
    inn = serializers.CharField(max_length=12, required=False, help_text=_("10 или 12 цифр"))
    kpp = serializers.CharField(max_length=9, required=False, allow_blank=True)
    address = serializers.CharField(max_length=300, required=False)
    documents_email = serializers.EmailField(required=False)
    acts = serializers.ChoiceField(choices=ActSchedule.choices, required=False)

    class Meta:
        model = Company
        fields = companies.FIELDS


class CodesData(serializers.Serializer[Any]):
    """What the customer was sent, to prove that a contact is changed by themselves."""

    new = serializers.CharField(
        max_length=20, required=False, allow_blank=True, default="", help_text=_("С нового контакта")
    )
    old = serializers.CharField(max_length=20, help_text=_("С прежнего контакта"))


class ContactData(serializers.Serializer[Any]):
    """Which contact is to be changed or removed."""

    contact = serializers.CharField(max_length=254, required=False, help_text=_("Новый телефон или почта"))
    remove = serializers.ChoiceField(
        choices=("phone", "email"), required=False, help_text=_("Или что удалить")
    )
    proof = serializers.RegexField(
        r"^(phone|email)$",
        required=False,
        help_text=_("Каким прежним контактом подтвердить; без него тем, который меняют"),
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("contact" in attrs) == ("remove" in attrs):
            raise serializers.ValidationError({"contact": _("Нужно одно из двух: contact или remove")})
        return attrs


class CodesSentSerializer(serializers.Serializer[Any]):
    """Where the codes went, masked."""

    new = serializers.CharField(allow_blank=True)
    old = serializers.CharField()


class CustomerSerializer(serializers.ModelSerializer[Customer]):
    """A customer as the partner's system sees it."""

    phone = serializers.CharField(max_length=40, required=False, allow_blank=True)
    email = serializers.CharField(max_length=254, required=False, allow_blank=True)
    external_id = serializers.CharField(max_length=100, required=False, allow_blank=True)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    language = serializers.ChoiceField(choices=Language.choices, required=False)
    wants_documents = serializers.BooleanField(
        required=False, help_text=_("Присылать квитанции и корректировки на почту; организации — всегда")
    )
    company = CompanySerializer(
        required=False, allow_null=True, help_text=_("Реквизиты, если клиент — организация")
    )

    codes = CodesData(
        required=False,
        write_only=True,
        help_text=_("При смене телефона или почты: коды из POST /customers/{id}/contact-codes/"),
    )

    class Meta:
        model = Customer
        fields = ("id", *ANNA, "wants_documents", "company", "codes", "created_at", "erased_at")
        read_only_fields = ("id", "created_at", "erased_at")


class PhoneSerializer(serializers.Serializer[Any]):
    """A number."""

    phone = serializers.CharField(max_length=40)


class ReleasedSerializer(serializers.Serializer[Any]):
    """Whether anything was changed."""

    changed = serializers.BooleanField()


class CustomerFilter(filters.FilterSet):
    """Exact contacts, however they are spelt."""

    phone = filters.CharFilter(method="by_phone")
    email = filters.CharFilter(method="by_email")
    external_id = filters.CharFilter()

    class Meta:
        model = Customer
        fields = ("phone", "email", "external_id")

    def by_phone(self, found: QuerySet[Customer], name: str, value: str) -> QuerySet[Customer]:
        # In a query string a plus is a space.
        value = value.strip()
        return found.filter(phone=contacts.phone(f"+{value}" if value.startswith("7") else value))

    def by_email(self, found: QuerySet[Customer], name: str, value: str) -> QuerySet[Customer]:
        return found.filter(email=contacts.email(value))


@extend_schema_view(
    list=extend_schema(
        summary=_("Клиенты"),
        examples=[OpenApiExample("customer", summary=_("Клиент"), value=ANSWER, response_only=True)],
    ),
    retrieve=extend_schema(
        summary=_("Клиент"),
        examples=[OpenApiExample("customer", summary=_("Клиент"), value=ANSWER, response_only=True)],
    ),
)
@extend_schema(tags=["customers"])
class CustomerViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Customer]):
    """Customers of the partner: by phone, e-mail or the partner's own id."""

    queryset = Customer.objects.select_related("company")
    serializer_class = CustomerSerializer
    filterset_class = CustomerFilter
    required_scopes = {"GET": "customers:read", "POST": "customers:write", "PATCH": "customers:write"}

    @extend_schema(
        summary=_("Найти или зарегистрировать клиента"),
        description=_(
            "Нужно хотя бы одно: phone, email или external_id. Клиент с любым из них находится и "
            "дополняется недостающим (200), иначе регистрируется (201). Принадлежат разным клиентам: 409."
        ),
        responses={200: CustomerSerializer, 201: CustomerSerializer},
        examples=[
            OpenApiExample("anna", summary=_("С телефоном и почтой"), value=ANNA, request_only=True),
            OpenApiExample(
                "external",
                summary=_("Только номер партнёра"),
                value={"external_id": "client-1042"},
                request_only=True,
            ),
            OpenApiExample(
                "customer", summary=_("Клиент"), value=ANSWER, response_only=True, status_codes=["200", "201"]
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        given = self._given(request)
        company, wants = given.pop("company", None), given.pop("wants_documents", None)
        given.pop("codes", None)
        # Where the requisites are refused, nobody is registered.
        with transaction.atomic():
            customer, is_new = customers.find_or_register(**given, verified=True)
            if company:
                companies.set_company(customer, actor=_actor(request), **company)
            if wants is not None:
                customers.update(customer, actor=_actor(request), wants_documents=wants)
        customer = self.get_queryset().get(pk=customer.pk)
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(self.get_serializer(customer).data, status=code)

    @extend_schema(
        summary=_("Изменить клиента"),
        description=_(
            "Меняется только то, что прислано; пустая строка удаляет. Другой телефон или почту, и их удаление, "
            "подтверждает сам клиент: POST /customers/{id}/contact-codes/ отправит ему коды, их пришлите в codes. Без "
            "них 409 proof_needed. У кого нет ни телефона, ни почты, тому их задаёте вы."
        ),
        examples=[
            OpenApiExample(
                "phone",
                summary=_("Новый телефон"),
                value={"phone": "+79161234568", "codes": {"new": "120754", "old": "993120"}},
                request_only=True,
            ),
            OpenApiExample("customer", summary=_("Клиент"), value=ANSWER, response_only=True),
        ],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        given, customer = self._given(request), self.get_object()
        company, codes = given.pop("company", None), given.pop("codes", None)
        if moved := contact_change.to_be_proved(customer, given):
            customer = _prove(customer, moved, codes, _actor(request))
            given = {name: value for name, value in given.items() if name not in moved}
        with transaction.atomic():
            if given:
                customer = customers.update(customer, actor=_actor(request), **given)
            if company:
                companies.set_company(customer, actor=_actor(request), **company)
        return Response(self.get_serializer(self.get_queryset().get(pk=customer.pk)).data)

    @extend_schema(
        summary=_("Коды для смены контакта"),
        description=_(
            "Отправляет код на новый контакт и код на прежний: их клиент называет вам, а вы присылаете в codes при "
            "PATCH. Действуют 10 минут. Для remove код один, на удаляемый контакт."
        ),
        request=ContactData,
        responses={200: CodesSentSerializer},
        examples=[
            OpenApiExample("contact", value={"contact": "+79161234568"}, request_only=True),
            OpenApiExample("sent", value={"new": "+7 *** 45-68", "old": "+7 *** 45-67"}, response_only=True),
        ],
        filters=False,
    )
    @action(
        detail=True, methods=["post"], url_path="contact-codes", pagination_class=None, filterset_class=None
    )
    def contact_codes(self, request: Request, pk: str) -> Response:
        given = ContactData(data=request.data)
        given.is_valid(raise_exception=True)
        data, customer = given.validated_data, self.get_object()
        if "remove" in data:
            return Response({"new": "", "old": contact_change.begin_removal(customer, data["remove"])})
        old = contact_change.begin(customer, data["contact"], proof=data.get("proof", ""))
        return Response({"new": contacts.masked("".join(contacts.either(data["contact"]))), "old": old})

    @extend_schema(
        summary=_("Номер отдан другому абоненту"),
        description=_(
            "Сообщает оператор связи: номер больше не открывает услуги прежнего владельца, они остаются у него. "
            "Повторять можно. changed: был ли такой клиент."
        ),
        request=PhoneSerializer,
        responses={200: ReleasedSerializer},
        filters=False,
    )
    @action(detail=False, methods=["post"], url_path="phone-reassigned", pagination_class=None)
    def phone_reassigned(self, request: Request) -> Response:
        given = PhoneSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        phone = contacts.phone(given.validated_data["phone"])
        former = recycled.reassigned(phone, actor=_actor(request))
        return Response({"changed": former is not None})

    def _given(self, request: Request) -> dict[str, Any]:
        given = self.get_serializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        return dict(given.validated_data)


def _prove(customer: Customer, moved: dict[str, str], codes: dict[str, str] | None, actor: str) -> Customer:
    if codes is None:
        told = _("Смену контакта подтверждает клиент: запросите коды, POST /customers/{id}/contact-codes/")
        raise Refused("proof_needed", told)
    if len(moved) > 1:
        raise Refused("one_contact", _("Телефон и почту меняют по одному: у каждого свои коды"), status=400)
    [(field, value)] = moved.items()
    if not value:
        return contact_change.finish_removal(customer, field, old_code=codes["old"], actor=actor)
    return contact_change.finish(customer, value, new_code=codes["new"], old_code=codes["old"], actor=actor)


def _actor(request: Request) -> str:
    key: Any = request.auth
    return f"api:{key.channel_code}"


def routes(router: BaseRouter) -> None:
    """Adds this app's addresses under /api/v1/."""
    router.register("customers", CustomerViewSet, basename="customer")
