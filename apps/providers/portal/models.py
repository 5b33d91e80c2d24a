"""What a provider may ask and do by itself (public: it is one over all partners): ids only, and what it gave."""

import hashlib
import hmac
from datetime import timedelta

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import bearer, clock
from apps.core.fields import EncryptedField, EncryptedJSONField
from apps.core.money import amount_field
from apps.providers.models import Provider

USE_NOTED_EVERY = timedelta(minutes=1)


class ProviderKey(models.Model):
    """A key of a provider's system. Only its hash is kept, so it is shown once, when issued."""

    provider = models.ForeignKey(
        Provider, models.PROTECT, related_name="api_keys", verbose_name=_("поставщик")
    )
    name = models.CharField(_("для чего"), max_length=100, blank=True)
    prefix = models.CharField(_("начало ключа"), max_length=12, unique=True, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("выдан"), default=clock.wall, editable=False)
    revoked_at = models.DateTimeField(_("отозван"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("последнее обращение"), null=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("ключ API поставщика"), _("ключи API поставщиков")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"armor_{self.prefix}_…"

    @classmethod
    def issue(cls, provider: Provider, *, name: str = "", actor: str = "") -> tuple["ProviderKey", str]:
        """Makes a key; gives it and the text to be shown once."""
        prefix, text, secret_hash = bearer.issue()
        with transaction.atomic():
            key = cls.objects.create(provider=provider, name=name, prefix=prefix, secret_hash=secret_hash)
            data = {"provider": provider.code}
            journal.record("providerkey.issued", "providers.ProviderKey", key.pk, actor=actor, data=data)
        return key, text

    @classmethod
    def find(cls, text: str) -> "ProviderKey | None":
        """The live key that reads so, its provider with it; None for a wrong or revoked one."""
        prefix, secret = bearer.parts(text)
        if not secret:
            return None
        found = cls.objects.select_related("provider").filter(prefix=prefix, revoked_at=None).first()
        if found is None or not bearer.is_right(found.secret_hash, secret) or found.provider.is_archived:
            return None
        return found

    def note_use(self) -> None:
        """Keeps when the key was last used, to the minute."""
        now = clock.wall()
        if self.last_used_at is None or now - self.last_used_at >= USE_NOTED_EVERY:
            ProviderKey.objects.filter(pk=self.pk).update(last_used_at=now)

    def revoke(self, *, actor: str = "") -> None:
        """The key stops working at once and for good."""
        with transaction.atomic():
            if ProviderKey.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=clock.wall()):
                journal.record("providerkey.revoked", "providers.ProviderKey", self.pk, actor=actor)
        self.refresh_from_db(fields=["revoked_at"])


class Entitlement(models.Model):
    """Whether a service gives its customer the right to the product: kept in the transaction that changes it.

    One row for each service that was ever given out, ids only, so that a provider is answered by one indexed look-up
    over all partners. Whose it is and what it says all stands in the partner's own data.
    """

    service_id = models.UUIDField(_("услуга"), primary_key=True)
    partner_id = models.BigIntegerField(_("партнёр"))
    provider_id = models.BigIntegerField(_("поставщик"))
    request_id = models.UUIDField(_("номер у поставщика"))
    customer_id = models.UUIDField(_("клиент"))
    # HMAC of the SHA-256 of the key, by which the provider asks: the table does not tell what it is.
    key_digest = models.BinaryField(max_length=32, null=True)
    state = models.CharField(_("состояние"), max_length=20)
    active_until = models.DateField(_("действует до"), null=True)
    version = models.BigIntegerField(_("версия"), default=1)
    changed_at = models.DateTimeField(_("изменено"))

    class Meta:
        verbose_name, verbose_name_plural = _("право на услугу"), _("права на услуги")
        indexes = [
            models.Index(fields=["request_id"], name="providers_right_request"),
            models.Index(fields=["customer_id"], name="providers_right_customer"),
            models.Index(
                fields=["key_digest"],
                condition=models.Q(key_digest__isnull=False),
                name="providers_right_key",
            ),
            models.Index(fields=["partner_id"], name="providers_right_partner"),
        ]

    @property
    def is_entitled(self) -> bool:
        """Whether the customer may use it now. A day that is over is no end: grace is the subscription's affair."""
        return self.state == "active"


def key_digest(sha256_hex: str) -> bytes:
    """What a key is found by, of the SHA-256 that a provider names it by."""
    return hmac.digest(
        settings.SEARCH_KEY.encode(), b"entitlement:" + sha256_hex.lower().encode(), hashlib.sha256
    )


def digest_of(key: str) -> bytes | None:
    """The same of a key as it stands, whatever the spaces around it; None where there is none."""
    key = key.strip()
    return key_digest(hashlib.sha256(key.encode()).hexdigest()) if key else None


class RequestKind(models.TextChoices):
    PROVISION = "provision", _("Подключить")
    REGISTER = "register", _("Зарегистрировать")
    EXTEND = "extend", _("Продлить")
    CANCEL = "cancel", _("Отключить")
    SUSPEND = "suspend", _("Приостановить")
    RESUME = "resume", _("Возобновить")


class RequestState(models.TextChoices):
    """CloudBlue's states of an asset's request, and that we called it off ourselves."""

    PENDING = "pending", _("Ждёт вас")
    INQUIRING = "inquiring", _("Ждёт ответа на вопрос")
    APPROVED = "approved", _("Исполнен")
    FAILED = "failed", _("Отказано")
    CANCELED = "canceled", _("Отозван платформой")


OPEN_REQUESTS = (RequestState.PENDING, RequestState.INQUIRING)


class ProviderRequest(models.Model):
    """What a provider is asked for in its own console: done there by a person or by its system, once."""

    Kind, State = RequestKind, RequestState

    id = models.UUIDField(_("номер"), primary_key=True)
    provider = models.ForeignKey(
        Provider, models.PROTECT, related_name="requests", db_index=False, verbose_name=_("поставщик")
    )
    partner_id = models.BigIntegerField(_("партнёр"))
    # Through which the provider is told by letter; None: it looks into its console by itself.
    connection = models.ForeignKey(
        "connectors.Connection",
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("подключение"),
    )
    is_test = models.BooleanField(_("из песочницы"), default=False)
    kind = models.CharField(_("что сделать"), max_length=10, choices=RequestKind.choices)
    # Of the service: what extends and takes back names the request that provisioned it.
    request_id = models.UUIDField(_("номер услуги у поставщика"))
    sku = models.CharField(_("код тарифа"), max_length=60, blank=True)
    customer_ref = models.CharField(_("клиент"), max_length=60, blank=True)
    period_end = models.DateField(_("действует до"), null=True)
    # What the customer told for it may be personal: kept while it is needed, and encrypted.
    parameters = EncryptedJSONField(_("данные"), default=dict, blank=True)
    state = models.CharField(
        _("состояние"), max_length=10, choices=RequestState.choices, default=RequestState.PENDING
    )
    question = models.TextField(_("вопрос"), blank=True)
    answer = EncryptedField(_("ответ на вопрос"), blank=True)
    # While it asks: what the customer is asked for it, in words of staff, and since when by the partner's clock.
    customer_question = EncryptedField(_("вопрос клиенту"), blank=True, default="", db_default="")
    customer_asked_at = models.DateTimeField(_("клиента спросили"), null=True)
    key = EncryptedField(_("ключ"), blank=True)
    url = models.URLField(_("ссылка"), max_length=500, blank=True)
    instructions = models.TextField(_("как пользоваться"), blank=True)
    reason = models.CharField(_("причина отказа"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("создан"))
    settled_at = models.DateTimeField(_("решён"), null=True)
    settled_by = models.CharField(_("кто решил"), max_length=100, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("запрос поставщику"), _("запросы поставщикам")
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["provider", "state", "-created_at"], name="providers_request_list"),
            models.Index(fields=["partner_id", "customer_ref"], name="providers_request_customer"),
            models.Index(
                fields=["partner_id"],
                condition=models.Q(customer_asked_at__isnull=False),
                name="providers_request_asked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.sku}"

    def ask_no_more(self) -> None:
        """Its customer has nothing to answer from now on; saved by the caller."""
        self.customer_question, self.customer_asked_at = "", None

    @property
    def is_open(self) -> bool:
        """Whether the provider has not decided yet."""
        return self.state in OPEN_REQUESTS


class LetterKind(models.TextChoices):
    ASKED = "asked", _("Запрос")
    ANSWERED = "answered", _("Ответ на вопрос")
    REMINDER = "reminder", _("Напоминание")
    WITHDRAWN = "withdrawn", _("Отзыв")


class LetterState(models.TextChoices):
    QUEUED = "queued", _("В очереди")
    UNKNOWN = "unknown", _("Неизвестно, ушло ли: повторяем под тем же номером")
    SENT = "sent", _("Отправлено")
    FAILED = "failed", _("Не отправлено")
    NEEDLESS = "needless", _("Уже не нужно")


OPEN_LETTERS = (LetterState.QUEUED, LetterState.UNKNOWN)


class RequestLetter(models.Model):
    """A letter about a request: repeated under one Message-ID until it has left, and no text of it is kept."""

    Kind, State = LetterKind, LetterState

    id = models.UUIDField(_("номер письма"), primary_key=True)
    request = models.ForeignKey(
        ProviderRequest, models.PROTECT, related_name="letters", verbose_name=_("запрос")
    )
    kind = models.CharField(_("о чём"), max_length=9, choices=LetterKind.choices)
    state = models.CharField(
        _("состояние"), max_length=8, choices=LetterState.choices, default=LetterState.QUEUED
    )
    to = models.EmailField(_("кому"), blank=True)
    attempts = models.PositiveSmallIntegerField(_("попыток"), default=0)
    error = models.CharField(_("ошибка"), max_length=300, blank=True)
    wanted_at = models.DateTimeField(_("создано"))
    sent_at = models.DateTimeField(_("отправлено"), null=True)
    # By the partner's clock: when the provider is reminded.
    answer_by = models.DateTimeField(_("ждём ответа до"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("письмо поставщику"), _("письма поставщикам")
        ordering = ["wanted_at", "id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_state_display()}"


class ProviderUser(models.Model):
    """A person of a provider: signs in to its console, sees and does there what is its own."""

    class Role(models.TextChoices):
        WORKER = "worker", _("Исполняет запросы")
        VIEWER = "viewer", _("Только смотрит")

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="provider_access", verbose_name=_("кто")
    )
    provider = models.ForeignKey(Provider, models.PROTECT, related_name="people", verbose_name=_("поставщик"))
    role = models.CharField(_("роль"), max_length=8, choices=Role.choices, default=Role.WORKER)

    class Meta:
        verbose_name, verbose_name_plural = _("человек поставщика"), _("люди поставщиков")

    def __str__(self) -> str:
        return f"{self.user}: {self.provider}"


class DefectReason(models.TextChoices):
    REFUSED = "refused", _("Не активируется")
    USED = "used", _("Уже использован")
    WRONG = "wrong", _("Не тот продукт или срок")
    LEAKED = "leaked", _("Попал к чужим")
    OTHER = "other", _("Другое")


class DefectiveKey(models.Model):
    """A key that did not work: never given again, and claimed from its provider."""

    provider = models.ForeignKey(
        Provider, models.PROTECT, related_name="defective_keys", db_index=False, verbose_name=_("поставщик")
    )
    partner_id = models.BigIntegerField(_("партнёр"))
    service_id = models.UUIDField(_("услуга"))
    request_id = models.UUIDField(_("по какому запросу выдан"), unique=True)
    replacement_id = models.UUIDField(_("запрос на замену"), unique=True)
    sku = models.CharField(_("код тарифа"), max_length=60)
    key = EncryptedField(_("ключ"))
    reason = models.CharField(_("что с ключом"), max_length=10, choices=DefectReason.choices)
    comment = models.CharField(_("подробности"), max_length=500, blank=True)
    given_at = models.DateTimeField(_("выдан"), null=True)
    reported_at = models.DateTimeField(_("заявлен"))
    actor = models.CharField(_("кто заявил"), max_length=100, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("бракованный ключ"), _("бракованные ключи")
        ordering = ["-id"]
        indexes = [models.Index(fields=["provider", "-id"], name="providers_defect_list")]

    def __str__(self) -> str:
        return f"{self.sku} № {self.pk}"


class UsageFile(models.Model):
    """A file of usage as a provider sent it: what was read of it, and which rows were refused and why."""

    provider = models.ForeignKey(
        Provider, models.PROTECT, related_name="usage_files", verbose_name=_("поставщик")
    )
    name = models.CharField(_("файл"), max_length=200)
    fingerprint = models.CharField(max_length=64, editable=False)
    rows = models.PositiveIntegerField(_("строк принято"), default=0)
    errors = models.JSONField(_("строки с ошибками"), default=list, blank=True)
    loaded_at = models.DateTimeField(_("загружен"))
    loaded_by = models.CharField(_("кто загрузил"), max_length=100, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("файл потребления"), _("файлы потребления")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint("provider", "fingerprint", name="providers_usagefile_once")]

    def __str__(self) -> str:
        return self.name


class UsageRow(models.Model):
    """How much of a service was used in a month, by its provider's word."""

    file = models.ForeignKey(UsageFile, models.PROTECT, related_name="lines", verbose_name=_("файл"))
    provider_id = models.BigIntegerField(_("поставщик"))
    partner_id = models.BigIntegerField(_("партнёр"))
    service_id = models.UUIDField(_("услуга"))
    month = models.DateField(_("месяц"))
    quantity = models.DecimalField(_("количество"), max_digits=16, decimal_places=4)
    unit = models.CharField(_("единица"), max_length=20, blank=True)
    # What is wrong with it beside the service: used when it was off, or before it was on.
    doubt = models.CharField(_("сомнение"), max_length=200, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("строка потребления"), _("строки потребления")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint("service_id", "month", "unit", name="providers_usagerow_once"),
            models.CheckConstraint(condition=models.Q(quantity__gte=0), name="providers_usagerow_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.service_id} {self.month:%Y-%m}"


class ServiceList(models.Model):
    """Which services a provider says were live on a day: the whole list as it sent it. A later one replaces it."""

    provider = models.ForeignKey(
        Provider, models.PROTECT, related_name="service_lists", db_index=False, verbose_name=_("поставщик")
    )
    day = models.DateField(_("день"))
    is_test = models.BooleanField(_("из песочницы"), default=False)
    name = models.CharField(_("файл"), max_length=200)
    rows = models.PositiveIntegerField(_("строк принято"), default=0)
    errors = models.JSONField(_("строки с ошибками"), default=list, blank=True)
    loaded_at = models.DateTimeField(_("загружен"))
    loaded_by = models.CharField(_("кто загрузил"), max_length=100, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("список услуг поставщика"), _("списки услуг поставщиков")
        ordering = ["-id"]
        indexes = [models.Index(fields=["provider", "-day", "-id"], name="providers_servicelist_day")]

    def __str__(self) -> str:
        return f"{self.provider}, {self.day:%d.%m.%Y}"


class ServiceListRow(models.Model):
    """One service of such a list: by its number or by that of the request which provisioned it."""

    list = models.ForeignKey(ServiceList, models.CASCADE, related_name="lines", verbose_name=_("список"))
    named = models.UUIDField(_("номер"))
    cost = amount_field(_("стоимость"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("строка списка"), _("строки списка")
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.named)
