"""What staff have described of providers: definitions and their versions, and by which each call was made (public)."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ConnectorDefinition(models.Model):
    """How to speak with a provider, described in the console. Connections refer to it by its code."""

    code = models.SlugField(_("код"), max_length=60, unique=True)
    name = models.CharField(_("название"), max_length=120, unique=True)
    is_archived = models.BooleanField(_("в архиве"), default=False)
    created_at = models.DateTimeField(_("создано"))

    class Meta:
        verbose_name, verbose_name_plural = _("конструктор подключения"), _("конструктор подключений")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def live(self) -> "DefinitionVersion | None":
        """The version that new calls are made by."""
        return self.versions.filter(state=DefinitionVersion.State.LIVE).first()


class DefinitionVersion(models.Model):
    """A document of a definition: changed while it is a draft, and never again once it went live.

    draft → tested (every recorded exchange was read rightly) → live → retired → (put back) live.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Черновик")
        TESTED = "tested", _("Проверена")
        LIVE = "live", _("Действует")
        RETIRED = "retired", _("Заменена")

    definition = models.ForeignKey(
        ConnectorDefinition, models.PROTECT, related_name="versions", verbose_name=_("конструктор")
    )
    number = models.PositiveIntegerField(_("версия"))
    state = models.CharField(_("состояние"), max_length=8, choices=State.choices, default=State.DRAFT)
    document = models.JSONField(_("описание"), default=dict)
    # Calls and answers that the document is tried on, masked: neither secrets nor anybody's data.
    exchange = models.JSONField(_("записанный обмен"), default=list, blank=True)
    author = models.CharField(_("кто"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("создана"))
    tested_at = models.DateTimeField(_("проверена"), null=True, blank=True)
    live_at = models.DateTimeField(_("действует с"), null=True, blank=True)
    retired_at = models.DateTimeField(_("заменена"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("версия"), _("версии")
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint("definition", "number", name="providers_version_number"),
            models.UniqueConstraint(
                "definition", condition=Q(state="live"), name="providers_version_one_live"
            ),
            models.UniqueConstraint(
                "definition", condition=Q(state__in=["draft", "tested"]), name="providers_version_one_open"
            ),
            models.CheckConstraint(
                condition=Q(state="draft") | Q(tested_at__isnull=False), name="providers_version_tested"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.definition} · {self.number}"

    @property
    def is_open(self) -> bool:
        """Whether it may still be changed."""
        return self.state in {self.State.DRAFT, self.State.TESTED}

    def of(self, operation: str) -> list[dict[str, Any]]:
        """The recorded exchanges of an operation."""
        return [one for one in self.exchange if one.get("operation") == operation]


class ProviderCall(models.Model):
    """A call by a definition: it goes on with the version that it began with, whatever goes live meanwhile.

    Its id is that of the fulfilment; the reference holds the provider's own number of the service.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    reference = models.ForeignKey(
        "connectors.GatewayReference", models.PROTECT, related_name="+", db_index=False
    )
    version = models.ForeignKey(DefinitionVersion, models.PROTECT, related_name="+", db_index=False)
    # The provider has said that it has it: then it is waited for, where it cannot be asked.
    is_accepted = models.BooleanField(_("принят поставщиком"), default=False)

    class Meta:
        verbose_name, verbose_name_plural = _("вызов поставщика"), _("вызовы поставщика")

    def __str__(self) -> str:
        return str(self.pk)
