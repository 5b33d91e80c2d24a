"""Public tables that hold what will happen, what has happened and what waits for staff: ids only, no personal data."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.ids import uuid7


class UUIDModel(models.Model):
    """A row of a partner: its UUIDv7 alone appears in URLs, the API, the ledger and events."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        abstract = True


class Due(models.Model):
    """Something that will have to happen to an object, claimed under a lease when its moment has come."""

    partner_id = models.BigIntegerField(null=True)
    kind = models.CharField(_("вид"), max_length=60)
    object_id = models.UUIDField(_("объект"))
    due_at = models.DateTimeField(_("срок"))
    # The connection that it calls outside through: done by who holds that lane, under its limits (see `lanes`).
    lane = models.BigIntegerField(null=True)
    # Follows a sandbox partner's own clock: the tick of the wall clock leaves it alone.
    is_sandbox = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(_("попыток"), default=0)
    error = models.TextField(_("ошибка"), blank=True)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("предстоящая работа"), _("предстоящая работа")
        constraints = [
            models.UniqueConstraint(
                fields=["partner_id", "kind", "object_id"], name="core_due_once", nulls_distinct=False
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(is_sandbox=False, lane=None), name="core_due_tick"
            ),
            models.Index(
                fields=["lane", "due_at"], condition=models.Q(lane__isnull=False), name="core_due_lane"
            ),
            models.Index(
                fields=["partner_id", "due_at"], condition=models.Q(is_sandbox=True), name="core_due_sandbox"
            ),
            # A batch takes more of one partner and kind, however many others wait.
            models.Index(fields=["partner_id", "kind", "due_at"], name="core_due_batch"),
        ]


class Lane(models.Model):
    """Which process does the work of a lane now: its limits hold because nobody else does. Gone when nobody does."""

    id = models.BigIntegerField(primary_key=True)
    holder = models.CharField(max_length=200)
    held_until = models.DateTimeField()


class Event(models.Model):
    """Something that became true in a partner: written in the transaction that made it so."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    partner_id = models.BigIntegerField(null=True)
    type = models.CharField(max_length=60)
    object_id = models.UUIDField()
    data = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()

    class Meta:
        verbose_name, verbose_name_plural = _("событие"), _("события")


class Delivery(models.Model):
    """One event on its way to one handler. Deleted when done, so the table is as long as what is late."""

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    partner_id = models.BigIntegerField(null=True)
    handler = models.CharField(max_length=120)
    next_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("доставка события"), _("доставка событий")
        constraints = [models.UniqueConstraint(fields=["event", "handler"], name="core_delivery_once")]
        indexes = [models.Index(fields=["next_at"], name="core_delivery_next")]


class SearchKey(models.Model):
    """HMAC of a phone, e-mail, document number or gateway id: finds an object in any partner."""

    digest = models.BinaryField(max_length=32)
    partner_id = models.BigIntegerField()
    kind = models.CharField(max_length=60)
    object_id = models.UUIDField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["digest", "partner_id", "kind", "object_id"], name="core_searchkey_once"
            )
        ]
        indexes = [models.Index(fields=["partner_id", "object_id"], name="core_searchkey_object")]


class WorkItem(models.Model):
    """Something that hangs and waits for a person: one queue over all partners."""

    partner_id = models.BigIntegerField(_("партнёр"), null=True)
    kind = models.CharField(_("вид"), max_length=60)
    object_id = models.UUIDField(_("объект"))
    reason = models.CharField(_("причина"), max_length=200)
    opened_at = models.DateTimeField(_("с какого времени"))
    deadline_at = models.DateTimeField(_("срок"), null=True, blank=True)
    owner = models.ForeignKey(
        "auth.User",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("кто занимается"),
    )

    class Meta:
        verbose_name, verbose_name_plural = _("задача"), _("моя работа")
        ordering = ["opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["partner_id", "kind", "object_id"], name="core_workitem_once", nulls_distinct=False
            )
        ]


class Attempt(models.Model):
    """A try that is counted against a limit: a keyed digest of who tried, never a name or an address."""

    digest = models.CharField(max_length=64)
    made_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["digest", "made_at"], name="core_attempt_recent")]


class Heartbeat(models.Model):
    """When a part of the platform (worker, beat) was last seen alive, by the wall clock."""

    part = models.CharField(max_length=40, primary_key=True)
    seen_at = models.DateTimeField()
