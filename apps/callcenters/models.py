"""Call lists and their results, incoming calls, and customers' requests of one partner."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.fields import PublicReference
from apps.core.models import UUIDModel


class Disposition(models.TextChoices):
    """What came of a call."""

    NONE = "", _("не звонили")
    SOLD = "sold", _("продажа")
    AGREED = "agreed", _("согласен")
    REFUSED = "refused", _("отказ")
    CALL_BACK = "call_back", _("перезвонить")
    NO_ANSWER = "no_answer", _("не дозвонились")
    WRONG_NUMBER = "wrong_number", _("чужой номер")


class CallList(UUIDModel):
    """Customers that a call centre is to call, and why."""

    name = models.CharField(_("название"), max_length=120)
    script = models.TextField(_("что сказать"), blank=True)
    created_at = models.DateTimeField(_("создан"), editable=False)
    created_by = models.CharField(_("кто создал"), max_length=150, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("обзвон"), _("обзвоны")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class CallTask(UUIDModel):
    """One customer of a call list, and what came of the call."""

    call_list = models.ForeignKey(
        CallList, models.CASCADE, related_name="tasks", db_index=False, verbose_name=_("обзвон")
    )
    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="call_tasks", verbose_name=_("клиент")
    )
    result = models.CharField(
        _("результат"), max_length=12, choices=Disposition.choices, default="", blank=True
    )
    called_at = models.DateTimeField(_("время звонка"), null=True, blank=True)
    comment = models.CharField(_("комментарий"), max_length=500, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("звонок обзвона"), _("звонки обзвона")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint("call_list", "customer", name="callcenters_task_once"),
            models.CheckConstraint(
                condition=models.Q(result="") | models.Q(called_at__isnull=False),
                name="callcenters_task_called_when",
            ),
        ]

    def __str__(self) -> str:
        return str(self.customer)


class CallState(models.TextChoices):
    """How far a call has come; it never goes back."""

    RINGING = "ringing", _("звонит")
    ANSWERED = "answered", _("разговор")
    ENDED = "ended", _("завершён")
    MISSED = "missed", _("пропущен")


class IncomingCall(UUIDModel):
    """A call that a call centre told us of, and the customer it is from."""

    connection = PublicReference("connectors.Connection", verbose_name=_("колл-центр"))
    call_id = models.CharField(_("номер звонка"), max_length=100)
    phone = models.CharField(_("телефон"), max_length=20)
    customer = models.ForeignKey(
        "accounts.Customer",
        models.PROTECT,
        null=True,
        related_name="incoming_calls",
        verbose_name=_("клиент"),
    )
    state = models.CharField(_("состояние"), max_length=8, choices=CallState.choices)
    agent = models.CharField(_("сотрудник КЦ"), max_length=150, blank=True)
    started_at = models.DateTimeField(_("начался"))
    ended_at = models.DateTimeField(_("закончился"), null=True)
    told_at = models.DateTimeField(_("время последнего события"), null=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("звонок"), _("звонки")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("connection", "call_id", name="callcenters_call_once"),
            models.CheckConstraint(
                condition=models.Q(ended_at=None, state__in=["ringing", "answered"])
                | models.Q(ended_at__isnull=False, state__in=["ended", "missed"]),
                name="callcenters_call_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.phone} · {self.get_state_display()}"


class RequestState(models.TextChoices):
    """How far a request has come."""

    NEW = "new", _("Новое")
    IN_PROGRESS = "in_progress", _("В работе")
    WAITING = "waiting", _("Ждём клиента")
    ELSEWHERE = "elsewhere", _("У партнёра / поставщика")
    SOLVED = "solved", _("Решено")
    CLOSED = "closed", _("Закрыто")


OPEN = (RequestState.NEW, RequestState.IN_PROGRESS, RequestState.WAITING, RequestState.ELSEWHERE)


class CustomerRequestQuerySet(models.QuerySet["CustomerRequest"]):
    """Which requests."""

    def open(self) -> "CustomerRequestQuerySet":
        """Those that somebody still has to do something about."""
        return self.filter(state__in=OPEN)


class CustomerRequest(UUIDModel):
    """What a customer asks for; in the staff's queue until it is solved."""

    State = RequestState

    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="requests", verbose_name=_("клиент")
    )
    subject = models.CharField(_("тема"), max_length=150)
    text = models.TextField(_("текст"))
    state = models.CharField(
        _("состояние"), max_length=12, choices=RequestState.choices, default=RequestState.NEW
    )
    answer = models.TextField(_("что сделано"), blank=True)
    created_at = models.DateTimeField(_("получено"), editable=False)
    closed_at = models.DateTimeField(_("решено"), null=True, editable=False)

    objects = CustomerRequestQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("обращение"), _("обращения")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["solved", "closed"], closed_at__isnull=False)
                | ~models.Q(state__in=["solved", "closed"]) & models.Q(closed_at=None),
                name="callcenters_request_closed_when",
            )
        ]

    def __str__(self) -> str:
        return self.subject
