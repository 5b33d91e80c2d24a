"""Tasks: the steps of a fulfilment that follows a plan, and what people wrote and filed about it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import StepKind, Undo
from apps.core.fields import PublicReference, TranslatedField
from apps.core.models import UUIDModel
from apps.orders.models import Fulfilment


class TaskState(models.TextChoices):
    PENDING = "pending", _("Впереди")
    ACTIVE = "active", _("Выполняется")
    WAITING = "waiting", _("Ждёт")
    DONE = "done", _("Сделано")
    FAILED = "failed", _("Не сделано")
    SKIPPED = "skipped", _("Пропущено")
    COMPENSATING = "compensating", _("Отменяется")
    COMPENSATED = "compensated", _("Отменено")


CURRENT = (TaskState.ACTIVE, TaskState.WAITING)
"""Of the tasks of one fulfilment at most one is under way. Its fulfilment's row is its lock."""
OPEN = (*CURRENT, TaskState.COMPENSATING)


class Task(UUIDModel):
    """One step of one fulfilment. Its id is the id of its request where another provider is asked."""

    State, Kind = TaskState, StepKind

    fulfilment = models.ForeignKey(
        Fulfilment, models.PROTECT, related_name="tasks", db_index=False, verbose_name=_("исполнение")
    )
    step = PublicReference("catalog.PlanStep", verbose_name=_("шаг плана"))
    position = models.PositiveSmallIntegerField(_("порядок"))
    kind = models.CharField(_("что делается"), max_length=10, choices=StepKind.choices)
    name = TranslatedField(_("название"))
    undo = models.CharField(_("чем отменяется"), max_length=10, choices=Undo.choices, default=Undo.NOTHING)
    state = models.CharField(
        _("состояние"), max_length=12, choices=TaskState.choices, default=TaskState.PENDING
    )
    # All calls there ever were: where there was one, the other side may have it.
    attempts = models.PositiveSmallIntegerField(_("попыток"), default=0)
    owner = models.CharField(_("кто взял"), max_length=150, blank=True)
    error = models.CharField(_("ошибка"), max_length=500, blank=True)
    deadline_at = models.DateTimeField(_("срок"), null=True, blank=True)
    started_at = models.DateTimeField(_("начато"), null=True, blank=True)
    claimed_at = models.DateTimeField(_("взято"), null=True, blank=True)
    done_at = models.DateTimeField(_("закончено"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("задача исполнения"), _("задачи исполнения")
        ordering = ["fulfilment", "position"]
        constraints = [
            models.UniqueConstraint("fulfilment", "position", name="orders_task_once"),
            models.UniqueConstraint(
                "fulfilment",
                condition=models.Q(state__in=sorted(CURRENT)),
                name="orders_task_one_at_a_time",
            ),
        ]
        indexes = [
            models.Index("deadline_at", condition=models.Q(state__in=sorted(OPEN)), name="orders_task_open")
        ]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def has_effect(self) -> bool:
        """Whether something stands outside that has to be undone, or may."""
        S = TaskState
        if self.undo == Undo.NOTHING or self.state in {S.PENDING, S.COMPENSATED}:
            return False
        if self.undo == Undo.PROVIDER:
            return self.attempts > 0
        return self.state in {S.DONE, S.COMPENSATING}


class TaskNote(UUIDModel):
    """A comment about a fulfilment, or a file with it: written once, never changed."""

    fulfilment = models.ForeignKey(
        Fulfilment, models.PROTECT, related_name="notes", verbose_name=_("исполнение")
    )
    task = models.ForeignKey(
        Task,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="notes",
        db_index=False,
        verbose_name=_("задача"),
    )
    at = models.DateTimeField(_("когда"))
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    text = models.CharField(_("комментарий"), max_length=2000, blank=True)
    # In the row, not in a folder of files: every web host has it, and a backup too.
    content = models.BinaryField(_("содержание"), null=True)
    file_name = models.CharField(_("файл"), max_length=120, blank=True)
    file_type = models.CharField(_("тип файла"), max_length=40, blank=True)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("запись по исполнению"), _("записи по исполнению")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.file_name or self.text[:60]
