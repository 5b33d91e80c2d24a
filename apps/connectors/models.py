"""Connections to everything outside, references that outsiders see, and their messages as they came."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from apps.connectors import masking, secrets
from apps.connectors.base import (
    Connector,
    ConnectorError,
    Inbound,
    Kind,
    configured,
    connector_class,
    query_fields,
)
from apps.core import bulk
from apps.core.errors import Refused
from apps.core.fields import EncryptedField, EncryptedJSONField
from apps.core.ids import uuid7
from apps.core.lanes import Limits
from apps.core.tenancy import current_partner_id

if TYPE_CHECKING:
    from apps.partners.models import Partner


class Connections(models.QuerySet["Connection"]):
    """Which connection serves whom."""

    def for_partner(self, partner: "Partner", kind: str) -> "Connection":
        """The partner's own connection of this kind, else the operator's. Raises Refused where there is none.

        A sandbox partner gets test connections only, a live one never gets them.
        """
        own_first = Coalesce(models.F("partner_id"), models.Value(0)).desc()
        found = (
            self.filter(models.Q(partner=None) | models.Q(partner_id=partner.pk))
            .filter(kind=kind, is_enabled=True, is_test=partner.is_sandbox)
            .order_by(own_first, "pk")
            .first()
        )
        if found is None:
            raise Refused(
                "no_connection", _("Сервис временно недоступен: не настроено подключение"), status=503
            )
        return found


class Connection(models.Model):
    """A configured connector: whose account at which service."""

    kind = models.CharField(_("вид"), max_length=20, choices=Kind.choices)
    connector = models.CharField(_("сервис"), max_length=200)
    name = models.CharField(_("название"), max_length=200)
    config = EncryptedJSONField(_("настройки"), default=dict)
    legal_entity = models.ForeignKey(
        "partners.LegalEntity",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="connections",
        verbose_name=_("юридическое лицо"),
    )
    partner = models.ForeignKey(
        "partners.Partner",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="connections",
        verbose_name=_("партнёр"),
        help_text=_("Пусто: подключение платформы"),
    )
    is_test = models.BooleanField(_("тестовое"), default=False)
    is_enabled = models.BooleanField(_("включено"), default=True)
    in_flight = models.PositiveSmallIntegerField(
        _("запросов одновременно"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(500)],
        help_text=_("Пусто: сколько принято для этого сервиса"),
    )
    per_second = models.FloatField(
        _("запросов в секунду"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1)],
        help_text=_("Пусто: сколько принято для этого сервиса"),
    )
    last_ok_at = models.DateTimeField(_("последний успех"), null=True, editable=False)
    last_error = models.CharField(_("последняя ошибка"), max_length=500, blank=True, editable=False)
    last_error_at = models.DateTimeField(_("время ошибки"), null=True, editable=False)
    # Of the breaker (see `breaker`): written only when it opens, closes or lets one call try.
    opened_at = models.DateTimeField(_("не отвечает с"), null=True, editable=False)
    next_try_at = models.DateTimeField(_("следующая попытка"), null=True, editable=False)

    objects = Connections.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("подключение"), _("подключения")
        ordering = ["kind", "name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(opened_at=None, next_try_at=None)
                | models.Q(opened_at__isnull=False, next_try_at__isnull=False),
                name="connectors_connection_breaker",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def connector_class(self) -> type[Connector]:
        """Raises LookupError where the connector is no longer in settings.CONNECTORS."""
        return connector_class(self.connector)

    @property
    def limits(self) -> Limits:
        """Its own limits, or those of its service."""
        usual = self.connector_class.limits
        return Limits(self.in_flight or usual.in_flight, self.per_second or usual.per_second)

    @property
    def is_well(self) -> bool:
        """Whether new work may be given to it: switched on, and its breaker closed."""
        return self.is_enabled and self.opened_at is None

    def open(self) -> Any:
        """The connector, ready for calls. Raises ConnectorError where the connection is switched off."""
        if not self.is_enabled:
            error = ConnectorError(_("Подключение «%s» выключено") % self.name, retry=True)
            error.left = False
            raise error
        return self.reader()

    def reader(self) -> Any:
        """The connector for reading what came in: that goes on while calls are switched off."""
        connector = self.connector_class
        self.guard()
        return connector(configured(connector, self.config), self)

    def guard(self) -> None:
        """From now on no line of the journal and no error of this thread repeats a secret of this connection."""
        try:
            hidden = secrets.names(self.connector_class)
        except LookupError:
            # Nobody tells any more which of them are secret.
            hidden = tuple(self.config)
        masking.guard(*secrets.parted(self.config, hidden))

    def readers(self, at: datetime) -> Iterator[Any]:
        """Connectors that read what came in at a moment: by the settings of now, then by replaced secrets of late."""
        yield self.reader()
        for config in secrets.old_settings(self.config, at):
            connector = self.connector_class
            yield connector(configured(connector, config), self)


class GatewayReference(models.Model):
    """The number of ours that a gateway or cash register sees, and the way back from it.

    Committed before the call, so that one connection serves many partners and no message comes too early.
    """

    connection = models.ForeignKey(Connection, models.PROTECT, related_name="references", db_index=False)
    partner_id = models.BigIntegerField(_("партнёр"))
    kind = models.CharField(_("вид"), max_length=60)
    object_id = models.UUIDField(_("объект"))
    gateway_id = models.CharField(_("номер у сервиса"), max_length=100, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("ссылка шлюза"), _("ссылки шлюза")
        constraints = [
            models.UniqueConstraint(
                fields=["partner_id", "object_id", "connection"], name="connectors_reference_once"
            ),
            # One object there is one object here: it is also what an incoming message is found by.
            models.UniqueConstraint(
                fields=["connection", "gateway_id"],
                condition=~models.Q(gateway_id=""),
                name="connectors_reference_gateway",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @classmethod
    def allot(cls, connection: Connection, kind: str, object_id: UUID) -> Self:
        """The current partner's reference for an object on a connection, the same one each time."""
        found, _created = cls.objects.get_or_create(
            connection=connection,
            partner_id=current_partner_id(),
            object_id=object_id,
            defaults={"kind": kind},
        )
        return found

    @classmethod
    def allot_new(cls, connection_id: int, kind: str, object_ids: Sequence[UUID]) -> list[int]:
        """`allot` for many new objects of the current partner at once: their numbers, in order."""
        keys = bulk.identities(cls, len(object_ids))
        same = {
            "connection": connection_id,
            "partner_id": current_partner_id(),
            "kind": kind,
            "gateway_id": "",
        }
        bulk.copy(cls, ["id", "object_id"], zip(keys, object_ids, strict=True), same=same)
        return keys

    @classmethod
    def learn_many(cls, learned: Sequence[tuple[int, str]]) -> None:
        """`learn` for many that had none: (number, the other side's id) each."""
        bulk.update(cls, ["gateway_id"], learned)

    def learn(self, gateway_id: str) -> None:
        """Remembers the other side's id, once it has said it."""
        if gateway_id and gateway_id != self.gateway_id:
            self.gateway_id = gateway_id
            self.save(update_fields=["gateway_id"])


class InboundState(models.TextChoices):
    """How far an incoming message has come."""

    NEW = "new", _("получено")
    DONE = "done", _("обработано")
    UNMATCHED = "unmatched", _("не опознано")
    REJECTED = "rejected", _("отклонено")


class InboundMessage(models.Model):
    """A message from outside, as it came. Partitioned by month (see `partitions`), dropped after 90 days."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    connection = models.ForeignKey(
        Connection, models.PROTECT, related_name="messages", db_index=False, verbose_name=_("подключение")
    )
    received_at = models.DateTimeField(_("получено"))
    method = models.CharField(_("метод"), max_length=10)
    query = EncryptedField(blank=True)
    headers = EncryptedJSONField(default=dict)
    body = EncryptedField(blank=True)
    fingerprint = models.BinaryField(max_length=32)
    copies = models.PositiveIntegerField(_("повторов"), default=0)
    state = models.CharField(
        _("состояние"), max_length=10, choices=InboundState.choices, default=InboundState.NEW
    )
    error = models.CharField(_("причина"), max_length=500, blank=True)
    reference = models.BigIntegerField(_("ссылка"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("входящее сообщение"), _("входящие сообщения")
        indexes = [
            models.Index(fields=["connection", "fingerprint"], name="connectors_inbound_copy"),
            models.Index(fields=["state", "received_at"], name="connectors_inbound_state"),
        ]

    def __str__(self) -> str:
        return f"{self.received_at:%d.%m.%Y %H:%M:%S}"

    def raw(self) -> Inbound:
        """The message as it came."""
        # Bytes are kept as Latin-1 text: any byte goes there and back unchanged.
        content = self.body.encode("latin-1")
        return Inbound(self.method, query_fields(self.query), self.headers, content, self.received_at)
