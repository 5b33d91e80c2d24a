"""Plans: the steps in which a product is given out (public). Never changed once saved: a new edit is a new plan."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.fields import TranslatedField
from apps.partners.models import StaffRole


class StepKind(models.TextChoices):
    """Who does a step."""

    PROVISION = "provision", _("Выдать у поставщика продукта")
    REGISTER = "register", _("Зарегистрировать у другого поставщика")
    MANUAL = "manual", _("Сделать вручную")
    WAIT = "wait", _("Дождаться ответа снаружи")
    NOTIFY = "notify", _("Написать клиенту")


class Undo(models.TextChoices):
    """What undoes a step that was done, where a later one fails for good."""

    NOTHING = "nothing", _("Ничего")
    PROVIDER = "provider", _("Отменить у поставщика")
    MANUAL = "manual", _("Задача сотруднику")


class FulfilmentPlan(models.Model):
    """The ordered steps of one product, as they were saved once. Orders refer to it for ever."""

    product = models.ForeignKey(
        "catalog.Product", models.PROTECT, related_name="plans", verbose_name=_("продукт")
    )
    number = models.PositiveIntegerField(_("редакция"))
    created_at = models.DateTimeField(_("сохранён"))
    actor = models.CharField(_("кто"), max_length=150, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("план исполнения"), _("планы исполнения")
        ordering = ["product", "-number"]
        constraints = [models.UniqueConstraint("product", "number", name="catalog_plan_once")]

    def __str__(self) -> str:
        return f"{self.product}, {_('редакция')} {self.number}"


class PlanStep(models.Model):
    """One step. `minutes`: how long it may take before those on duty are told."""

    plan = models.ForeignKey(FulfilmentPlan, models.PROTECT, related_name="steps", verbose_name=_("план"))
    position = models.PositiveSmallIntegerField(_("порядок"))
    kind = models.CharField(_("что делается"), max_length=10, choices=StepKind.choices)
    name = TranslatedField(_("название"))
    # Of a letter: what the customer reads; of manual work: what is to be done.
    text = TranslatedField(_("текст"), blank=True)
    minutes = models.PositiveIntegerField(
        _("срок, минут"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(60 * 24 * 90)],
    )
    duty = models.CharField(_("дежурят"), max_length=10, choices=StaffRole.Role, blank=True)
    provider = models.ForeignKey(
        "providers.Provider",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("поставщик"),
    )
    undo = models.CharField(_("чем отменяется"), max_length=10, choices=Undo.choices, default=Undo.NOTHING)

    class Meta:
        verbose_name, verbose_name_plural = _("шаг плана"), _("шаги плана")
        ordering = ["plan", "position"]
        constraints = [models.UniqueConstraint("plan", "position", name="catalog_planstep_once")]

    def __str__(self) -> str:
        return str(self.name)
