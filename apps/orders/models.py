"""What was ordered, how it was fulfilled, and what each customer has."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedField, PublicReference
from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field

if TYPE_CHECKING:
    from apps.payments.models import Payment


class OrderKind(models.TextChoices):
    NEW = "new", _("Покупка")
    CHANGE = "change", _("Изменение")
    CANCEL = "cancel", _("Отмена")


class OrderState(models.TextChoices):
    """Those of TMF622 and a draft; `states.ALLOWED` says which may follow which, of orders and of their items."""

    DRAFT = "draft", _("Черновик")
    ACKNOWLEDGED = "acknowledged", _("Принят")
    PENDING = "pending", _("Ожидает")
    HELD = "held", _("Отложен")
    IN_PROGRESS = "in_progress", _("Исполняется")
    ASSESSING = "assessing_cancellation", _("Отмена рассматривается")
    CANCELLING = "pending_cancellation", _("Отменяется")
    COMPLETED = "completed", _("Исполнен")
    PARTIAL = "partial", _("Исполнен частично")
    FAILED = "failed", _("Не исполнен")
    REJECTED = "rejected", _("Отклонён")
    CANCELLED = "cancelled", _("Отменён")


class Order(UUIDModel):
    """What a customer asked for at once: its items are billed by one invoice and paid by one payment."""

    State, Kind = OrderState, OrderKind

    kind = models.CharField(
        _("вид"), max_length=6, choices=OrderKind.choices, default=OrderKind.NEW, db_default=OrderKind.NEW
    )
    number = models.CharField(_("номер"), max_length=40, blank=True)
    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="orders", verbose_name=_("клиент")
    )
    legal_entity = PublicReference("partners.LegalEntity", verbose_name=_("продавец"))
    total = amount_field(_("сумма"))
    currency = currency_field()
    state = models.CharField(
        _("состояние"), max_length=24, choices=OrderState.choices, default=OrderState.ACKNOWLEDGED
    )
    channel_id = models.UUIDField(_("канал"), null=True, blank=True)
    channel_code = models.CharField(_("канал"), max_length=60, blank=True)
    invoice = models.OneToOneField(
        "billing.Invoice",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="order",
        verbose_name=_("счёт"),
    )
    # Of an order that cancels: the order to be cancelled.
    cancels = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="cancellations",
        db_index=False,
        verbose_name=_("отменяет"),
    )
    request_key = models.CharField(_("ключ запроса"), max_length=100, blank=True)
    actor = models.CharField(_("кто оформил"), max_length=100, blank=True)
    created_at = models.DateTimeField(_("создан"))
    # What the buyer agreed to where it was sold, by the word of who sold it: {text, at, ip, channel}.
    consent = models.JSONField(_("согласие"), default=dict, db_default={}, blank=True, editable=False)
    # What a draft or a scheduled order will be sold by: promo code, instrument, where the customer returns to.
    asked = models.JSONField(_("пожелания"), default=dict, db_default={}, blank=True, editable=False)
    # Nothing is billed or done before.
    scheduled_at = models.DateTimeField(_("исполнить не раньше"), null=True, blank=True)
    closed_at = models.DateTimeField(_("закрыт"), null=True, blank=True)
    placed: "Sequence[OrderItem]" = ()
    """Its items, where it was placed among others just now (`placing_many`)."""

    class Meta:
        verbose_name, verbose_name_plural = _("заказ"), _("заказы")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("number", condition=~Q(number=""), name="orders_order_number"),
            models.UniqueConstraint(
                "request_key", condition=~Q(request_key=""), name="orders_order_request_key"
            ),
        ]
        indexes = [models.Index("cancels", condition=Q(cancels__isnull=False), name="orders_order_cancels")]

    def __str__(self) -> str:
        return self.number or self.name

    @property
    def money(self) -> Money:
        """What the customer was quoted for all of it."""
        return Money(self.total, self.currency)

    @property
    def item(self) -> "OrderItem":
        """Its first item: of most orders the only one. Raises IndexError where it has none."""
        return self.items.all()[0]

    @property
    def name(self) -> str:
        """What was ordered, in a line. Reads the items: prefetch them for a list."""
        items = list(self.items.all())
        if not items:
            return str(_("Пустой заказ"))
        more = str(_(" и ещё {count}")).format(count=len(items) - 1) if len(items) > 1 else ""
        return f"{items[0].name}{more}"

    def payment(self) -> "Payment | None":
        """The payment under way or done; else the last one that failed."""
        return self.invoice.payment() if self.invoice else None


class ItemAction(models.TextChoices):
    ADD = "add", _("Подключить")
    MODIFY = "modify", _("Изменить")
    DELETE = "delete", _("Отключить")


class OrderItem(UUIDModel):
    """One product of an order, with the quote it was accepted on. Written under the lock of its order."""

    State, Action = OrderState, ItemAction

    order = models.ForeignKey(
        Order, models.PROTECT, related_name="items", db_index=False, verbose_name=_("заказ")
    )
    position = models.PositiveSmallIntegerField(_("позиция"), default=1)
    action = models.CharField(
        _("что сделать"), max_length=6, choices=ItemAction.choices, default=ItemAction.ADD
    )
    offer = PublicReference("catalog.Offer", verbose_name=_("предложение"))
    product = PublicReference("catalog.Product", verbose_name=_("продукт"))
    tariff_version = PublicReference("catalog.TariffVersion", verbose_name=_("редакция тарифа"))
    name = models.CharField(_("что заказано"), max_length=300)
    quantity = models.PositiveSmallIntegerField(_("количество"), default=1)
    price = amount_field(_("цена"))
    total = amount_field(_("сумма"))
    terms = models.JSONField(_("условия на день продажи"), default=dict, blank=True)
    # What the customer was asked for the product: may be personal, so nobody reads it in a dump.
    answers_text = EncryptedField(_("ответы клиента"), blank=True)
    # That it begins, or is about.
    subscription = models.ForeignKey(
        "billing.Subscription",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="order_items",
        db_index=False,
        verbose_name=_("подписка"),
    )
    state = models.CharField(
        _("состояние"), max_length=24, choices=OrderState.choices, default=OrderState.ACKNOWLEDGED
    )

    class Meta:
        verbose_name, verbose_name_plural = _("позиция заказа"), _("позиции заказов")
        ordering = ["order_id", "position"]
        constraints = [
            models.UniqueConstraint("order", "position", name="orders_item_position"),
            # A subscription is begun by one item.
            models.UniqueConstraint("subscription", condition=Q(action="add"), name="orders_item_begins"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="orders_item_quantity"),
        ]
        indexes = [models.Index("subscription", condition=~Q(action="add"), name="orders_item_changes")]

    def __str__(self) -> str:
        return self.name

    @property
    def money(self) -> Money:
        """What the customer was quoted for it."""
        return Money(self.total, self.order.currency)

    @property
    def answers(self) -> dict[str, Any]:
        """What the customer answered to the product's questions, by code."""
        found: dict[str, Any] = json.loads(self.answers_text) if self.answers_text else {}
        return found


class ServiceState(models.TextChoices):
    """TMF637's ProductStatusType. Which may follow which: `inventory.TRANSITIONS`."""

    CREATED = "created", _("Заведена")
    PENDING_ACTIVE = "pending_active", _("Подключается")
    ACTIVE = "active", _("Действует")
    SUSPENDED = "suspended", _("Приостановлена")
    PENDING_TERMINATE = "pending_terminate", _("Отключается")
    TERMINATED = "terminated", _("Отключена")
    CANCELLED = "cancelled", _("Отменена")
    ABORTED = "aborted", _("Не подключена")


ENDED_STATES = (
    ServiceState.PENDING_TERMINATE,
    ServiceState.TERMINATED,
    ServiceState.CANCELLED,
    ServiceState.ABORTED,
)
"""Of a service that the customer has no more, or never had; the provider may have it yet."""
GONE_STATES = (ServiceState.TERMINATED, ServiceState.CANCELLED, ServiceState.ABORTED)
"""Of a service that the provider has no more either."""


class Service(UUIDModel):
    """One product in a customer's hands: its key, account or link, and until when it is paid."""

    State = ServiceState

    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="services", verbose_name=_("клиент")
    )
    subscription = models.ForeignKey(
        "billing.Subscription", models.PROTECT, related_name="services", verbose_name=_("подписка")
    )
    product = PublicReference("catalog.Product", verbose_name=_("продукт"))
    tariff_version = PublicReference("catalog.TariffVersion", verbose_name=_("редакция тарифа"))
    name = models.CharField(_("название"), max_length=300)
    state = models.CharField(
        _("состояние"), max_length=20, choices=ServiceState.choices, default=ServiceState.PENDING_ACTIVE
    )
    key = EncryptedField(_("ключ"), blank=True)
    url = models.URLField(_("ссылка"), max_length=500, blank=True)
    instructions = models.TextField(_("как пользоваться"), blank=True)
    # What it was asked for when it was given out: may be personal, so nobody reads it in a dump.
    answers_text = EncryptedField(_("данные для выдачи"), blank=True)
    # What the provider knows it by: the id of the fulfilment that provisioned it.
    request_id = models.UUIDField(_("номер у поставщика"), unique=True)
    # How many times its key was replaced: a new one has another request id at the provider.
    replacements = models.PositiveSmallIntegerField(_("замен ключа"), default=0, db_default=0)
    active_until = models.DateField(_("действует до"), null=True, blank=True)
    activated_at = models.DateTimeField(_("подключена"), null=True, blank=True)
    off_at = models.DateTimeField(_("отключена"), null=True, blank=True)
    created_at = models.DateTimeField(_("создана"))

    class Meta:
        verbose_name, verbose_name_plural = _("услуга клиента"), _("услуги клиентов")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_over(self) -> bool:
        """Whether the customer has it no more, or never had it."""
        return self.state in ENDED_STATES

    @property
    def answers(self) -> dict[str, Any]:
        """What was told of it when it was given out, by code."""
        found: dict[str, Any] = json.loads(self.answers_text) if self.answers_text else {}
        return found


class FulfilmentState(models.TextChoices):
    QUEUED = "queued", _("В очереди")
    IN_PROGRESS = "in_progress", _("У поставщика")
    RETRY = "retry", _("Повтор")
    UNKNOWN = "unknown", _("Ответа нет, уточняем")
    DONE = "done", _("Выдано")
    NEEDS_STAFF = "needs_staff", _("Нужен сотрудник")
    REVOKED = "revoked", _("Отозвано")
    HELD = "held", _("Отложено")
    INFORMATION_REQUIRED = "info_needed", _("Нужны данные")
    COMPENSATING = "compensating", _("Отменяется")
    FAILED = "failed", _("Не исполнено")


class FulfilmentAction(models.TextChoices):
    PROVISION = "provision", _("Подключить")
    EXTEND = "extend", _("Продлить")
    SUSPEND = "suspend", _("Приостановить")
    RESUME = "resume", _("Возобновить")
    REPLACE = "replace", _("Заменить ключ")
    CANCEL = "cancel", _("Отключить")


OPEN_STATES = (
    FulfilmentState.QUEUED,
    FulfilmentState.IN_PROGRESS,
    FulfilmentState.RETRY,
    FulfilmentState.UNKNOWN,
    FulfilmentState.NEEDS_STAFF,
    FulfilmentState.INFORMATION_REQUIRED,
    FulfilmentState.HELD,
    FulfilmentState.COMPENSATING,
)
"""Nobody may forget it."""
TO_DO_STATES = tuple(one for one in OPEN_STATES if one != FulfilmentState.COMPENSATING)
"""Still to be done, and not being undone."""


class Fulfilment(UUIDModel):
    """One thing to be done at a provider for a paid invoice. Its id is the id of the request there."""

    State, Action = FulfilmentState, FulfilmentAction

    order = models.ForeignKey(
        Order, models.PROTECT, null=True, blank=True, related_name="fulfilments", verbose_name=_("заказ")
    )
    # Of an order only: what a renewal extends has none.
    item = models.ForeignKey(
        OrderItem,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="fulfilments",
        db_index=False,
        verbose_name=_("позиция"),
    )
    invoice = models.ForeignKey(
        "billing.Invoice",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="fulfilments",
        db_index=False,
        verbose_name=_("счёт"),
    )
    service = models.ForeignKey(Service, models.PROTECT, related_name="fulfilments", verbose_name=_("услуга"))
    action = models.CharField(_("что сделать"), max_length=10, choices=FulfilmentAction.choices)
    provider = PublicReference("providers.Provider", null=True, blank=True, verbose_name=_("поставщик"))
    # The lane that it is done in; None where nobody outside is asked.
    connection = PublicReference(
        "connectors.Connection", null=True, blank=True, verbose_name=_("подключение")
    )
    state = models.CharField(
        _("состояние"), max_length=12, choices=FulfilmentState.choices, default=FulfilmentState.QUEUED
    )
    # The first day that is not paid any more.
    period_end = models.DateField(_("действует до"), null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("попыток"), default=0)
    error = models.CharField(_("ошибка"), max_length=500, blank=True)
    # Why it was given up: stays when it is undone.
    failure = models.CharField(_("почему не исполнено"), max_length=500, blank=True, db_default="")
    next_at = models.DateTimeField(_("следующая попытка"), null=True, blank=True)
    # Of a plan: the position of the task that `state` is about. None: no plan, one call.
    step = models.PositiveSmallIntegerField(_("шаг"), null=True, blank=True)
    promised_at = models.DateTimeField(_("обещано к"), null=True, blank=True)
    # When those on duty were told that the promise, or a task's deadline, is about to be missed.
    jeopardy_at = models.DateTimeField(_("под угрозой срока с"), null=True, blank=True)
    # When it was given up for good: its money goes back.
    failed_at = models.DateTimeField(_("признано неисполнимым"), null=True, blank=True)
    created_at = models.DateTimeField(_("создано"))
    done_at = models.DateTimeField(_("исполнено"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("исполнение"), _("исполнение")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("invoice", "service", "action", name="orders_fulfilment_once"),
            models.UniqueConstraint(
                "service", condition=Q(action=FulfilmentAction.CANCEL), name="orders_fulfilment_cancel_once"
            ),
        ]
        indexes = [models.Index("item", condition=Q(item__isnull=False), name="orders_fulfilment_item")]

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.service}"


class History(UUIDModel):
    """A change of state of an order, item, fulfilment or service: when, by whom and why."""

    object_id = models.UUIDField(_("объект"))
    was = models.CharField(_("было"), max_length=24, blank=True)
    became = models.CharField(_("стало"), max_length=24)
    at = models.DateTimeField(_("когда"))
    actor = models.CharField(_("кто"), max_length=100, blank=True)
    reason = models.CharField(_("почему"), max_length=500, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("запись истории"), _("история")
        ordering = ["id"]
        indexes = [models.Index("object_id", name="orders_history_object")]


import apps.orders.bulk_models  # noqa: E402, F401 - more models of this app
