"""Letters to a provider that has no API: each request is told by one, answered by its link, and reminded of.

A letter leaves under one Message-ID however often it is sent, so that what is unknown may be sent again: who has it
already has it once, and its link does one thing once. No text is kept: a letter is composed when it is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from string import Template
from typing import Any
from uuid import UUID, uuid5

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.connectors import exchange
from apps.connectors.base import ConnectorError, Kind
from apps.connectors.models import Connection
from apps.core import clock, due, faults, links, work
from apps.core.tenancy import current_partner
from apps.notifications.sender import Outgoing
from apps.providers.portal.models import (
    OPEN_LETTERS,
    OPEN_REQUESTS,
    LetterKind,
    LetterState,
    ProviderRequest,
    RequestKind,
    RequestLetter,
    RequestState,
)

KIND = "providers.ProviderRequest"
SEND, REMIND = "providers.letter", "providers.remind"
PATIENCE = 8
"""Attempts before staff are told that a letter does not leave."""
REMINDERS = 3
"""After which the provider is not written to any more: staff ring."""
SALT = "providers.letter"
FAULT_POINTS = ("providers.letter-claimed", "providers.letter-sent", "providers.letter-recorded")
"""Every commit and call boundary of a letter."""

FIELDS: Mapping[str, Any] = {
    "what": gettext_lazy(
        "что сделать: подключить, продлить, приостановить, возобновить, отключить; в напоминании и отзыве сказано и это"
    ),
    "sku": gettext_lazy("код тарифа"),
    "number": gettext_lazy("номер запроса"),
    "service": gettext_lazy("номер услуги: один на подключение, продления и отключение"),
    "customer": gettext_lazy("номер клиента, без личных данных"),
    "period_end": gettext_lazy("первый неоплаченный день"),
    "parameters": gettext_lazy(
        "что указал клиент; может быть личным, поэтому обычно только на странице по ссылке"
    ),
    "answer_by": gettext_lazy("до какого времени ждём ответа"),
    "provider": gettext_lazy("название поставщика"),
    "link": gettext_lazy("страница запроса: исполнить, отказать, спросить"),
}
"""What staff's text of a letter may speak of, as `$name`."""
SUBJECT = gettext_lazy("$what: $sku")
TEXT = gettext_lazy(
    "Здравствуйте!\n\n$what\n\nТариф: $sku\nНомер запроса: $number\nНомер услуги: $service\nКлиент: $customer\n"
    "Оплачено до: $period_end\n\nОтветьте до $answer_by на странице запроса, вход не нужен:\n$link\n\n"
    "Там можно исполнить, отказать или спросить. Ссылка действует, пока запрос не решён; не пересылайте её."
)


@dataclass(frozen=True, slots=True)
class Letter:
    """All that a call needs of the database."""

    id: UUID
    request_id: UUID
    connection: Connection
    outgoing: Outgoing


def wrong(text: str) -> str:
    """What is wrong with staff's text; empty where nothing is."""
    template = Template(text)
    if not template.is_valid():
        return _("Знак $ ставится перед именем подстановки; чтобы написать сам знак, поставьте $$")
    if unknown := sorted(set(template.get_identifiers()) - set(FIELDS)):
        return _("Нет такой подстановки: %(names)s. Есть: %(known)s") % {
            "names": ", ".join(f"${name}" for name in unknown),
            "known": ", ".join(f"${name}" for name in FIELDS),
        }
    return ""


# -- what is wanted, in the caller's transaction ------------------------------------------------------


def write(row: ProviderRequest, kind: str) -> None:
    """A letter about a request of the current partner; nothing where its provider is not written to."""
    if row.connection_id is None:
        return
    now, answer_by = clock.now(), None
    if kind != LetterKind.WITHDRAWN:
        answer_by = now + timedelta(hours=int(_settings(row).get("answer_hours") or 24))
        due.schedule(REMIND, row.pk, answer_by)
    count = row.letters.count()
    made = RequestLetter.objects.create(
        id=uuid5(row.pk, f"letter-{count}"),
        request=row,
        kind=kind,
        wanted_at=clock.wall(),
        answer_by=answer_by,
    )
    due.schedule(SEND, made.pk, clock.wall(), wall=True)


def settled(row: ProviderRequest) -> None:
    """It is decided, or waits for our answer: nobody is reminded, and staff have nothing to ring about."""
    if row.connection_id is not None:
        due.cancel(REMIND, row.pk)
        work.close(KIND, row.pk)


def called_off(row: ProviderRequest) -> None:
    """Who was written to is told; what has not left yet stays here."""
    settled(row)
    if row.connection_id is not None and row.letters.filter(attempts__gt=0).exists():
        write(row, LetterKind.WITHDRAWN)


# -- due work --------------------------------------------------------------------------------------------


@due.task(REMIND)
def remind(request_id: UUID) -> None:
    """A request that is unanswered at its term: written about again, three times; then staff ring."""
    with transaction.atomic():
        mine = ProviderRequest.objects.filter(pk=request_id, partner_id=current_partner().pk)
        row = mine.select_for_update().first()
        if row is None or row.state != RequestState.PENDING:
            return
        told = row.letters.filter(kind=LetterKind.REMINDER).count()
        asked = row.letters.filter(kind__in=[LetterKind.ASKED, LetterKind.ANSWERED]).last()
        if asked is None or asked.answer_by is None:
            return
        if told < REMINDERS:
            write(row, LetterKind.REMINDER)
        if told + 1 >= REMINDERS:
            reason = _("Поставщик не отвечает на письма: %(provider)s, %(sku)s")
            told_of = {"provider": row.provider, "sku": row.sku}
            work.open(KIND, row.pk, reason % told_of, deadline_at=asked.answer_by)


@due.task(SEND)
def send(letter_id: UUID) -> None:
    """One attempt of one letter."""
    letter = _claim(letter_id)
    if letter is None:
        return
    faults.at("providers.letter-claimed")
    error = None
    try:
        with exchange.about(letter.request_id):
            letter.connection.open().send(letter.outgoing)
    except (ConnectorError, LookupError) as wrong_answer:
        error = wrong_answer
    faults.at("providers.letter-sent")
    _record(letter.id, error)
    faults.at("providers.letter-recorded")


def _claim(letter_id: UUID) -> Letter | None:
    with transaction.atomic():
        mine = RequestLetter.objects.filter(pk=letter_id, request__partner_id=current_partner().pk)
        row = mine.select_for_update(of=("self",)).first()
        if row is None or row.state not in OPEN_LETTERS:
            return None
        request = ProviderRequest.objects.select_related("provider", "connection").get(pk=row.request_id)
        is_wanted = request.state in OPEN_REQUESTS or row.kind == LetterKind.WITHDRAWN
        if not is_wanted:
            row.state = LetterState.NEEDLESS
            row.save(update_fields=["state"])
            return None
        mail = _mail()
        row.attempts, row.to = row.attempts + 1, str(_settings(request).get("to", ""))
        if mail is None or request.connection is None or not request.connection.is_enabled:
            _later(
                row, _("Нет подключения почты") if mail is None else _("Письма этому поставщику выключены")
            )
            return None
        # From here on it may have left: a process that dies leaves it so, and it is sent again under its number.
        row.state = LetterState.UNKNOWN
        row.save()
        due.schedule(SEND, row.pk, _again_at(row), wall=True)
        try:
            return Letter(row.pk, request.pk, mail, _composed(row, request))
        except (KeyError, ValueError) as error:
            # Staff's text was good when it was saved; one that came another way may not be.
            _fail(row, _("Письмо не составить: %s") % error)
            return None


def _record(letter_id: UUID, error: Exception | None) -> None:
    with transaction.atomic():
        row = RequestLetter.objects.select_for_update().get(pk=letter_id)
        if row.state != LetterState.UNKNOWN:
            return
        if error is None:
            row.state, row.sent_at, row.error = LetterState.SENT, clock.wall(), ""
            row.save()
            due.cancel(SEND, row.pk)
        elif getattr(error, "unknown", False) or getattr(error, "retry", True):
            is_unknown = getattr(error, "unknown", False)
            _later(row, str(error), state=LetterState.UNKNOWN if is_unknown else LetterState.QUEUED)
        else:
            _fail(row, str(error))


def _later(row: RequestLetter, reason: str, *, state: str = LetterState.QUEUED) -> None:
    row.state, row.error = state, reason[:300]
    row.save()
    due.schedule(SEND, row.pk, _again_at(row), wall=True)
    if row.attempts >= PATIENCE:
        _tell_staff(row, reason)


def _fail(row: RequestLetter, reason: str) -> None:
    row.state, row.error = LetterState.FAILED, reason[:300]
    row.save()
    due.cancel(SEND, row.pk)
    _tell_staff(row, reason)


def _tell_staff(row: RequestLetter, reason: str) -> None:
    work.open(KIND, row.request_id, _("Письмо поставщику не уходит: %s") % reason)


def _again_at(row: RequestLetter) -> Any:
    return clock.wall() + timedelta(seconds=min(30 * 2**row.attempts, 3600))


def _mail() -> Connection | None:
    """By which letters to providers go: the platform's own, or the partner's where that has none."""
    partner = current_partner()
    able = Connection.objects.filter(kind=Kind.EMAIL, is_enabled=True, is_test=partner.is_sandbox)
    return (
        able.filter(partner=None).order_by("pk").first()
        or able.filter(partner=partner).order_by("pk").first()
    )


# -- what it says ----------------------------------------------------------------------------------------


def _composed(row: RequestLetter, request: ProviderRequest) -> Outgoing:
    values = _settings(request)
    with translation.override("ru"):
        subject, text = values.get("subject") or str(SUBJECT), values.get("text") or str(TEXT)
        told = {**dict.fromkeys(FIELDS, ""), **_told(row, request)}
        if row.kind == LetterKind.WITHDRAWN:
            text = _(
                "Здравствуйте!\n\n$what\n\nТариф: $sku\nНомер запроса: $number\n\nДелать ничего не нужно."
            )
        return Outgoing(
            id=row.pk,
            to=row.to,
            # A line break in a subject would start another header.
            subject=" ".join(Template(subject).substitute(told).split()),
            text=Template(text).substitute(told),
            html="",
            sender_name=str(values.get("sender_name") or "ARMOR"),
        )


def _told(row: RequestLetter, request: ProviderRequest) -> dict[str, str]:
    what = str(RequestKind(request.kind).label)
    beginnings = {
        LetterKind.REMINDER: _("Напоминаем: %s"),
        LetterKind.ANSWERED: _("Мы ответили на ваш вопрос: %s"),
        LetterKind.WITHDRAWN: _("Запрос отозван: %s"),
    }
    parameters = "\n".join(f"{name}: {value}" for name, value in request.parameters.items())
    return {
        "what": beginnings.get(LetterKind(row.kind), "%s") % what,
        "sku": request.sku or "—",
        "number": str(request.pk),
        "service": str(request.request_id),
        "customer": request.customer_ref or "—",
        "period_end": f"{request.period_end:%d.%m.%Y}" if request.period_end else "—",
        "parameters": parameters,
        "answer_by": f"{clock.local(row.answer_by):%d.%m.%Y %H:%M}" if row.answer_by else "",
        "provider": request.provider.name,
        "link": link(request.pk, row.to),
    }


# -- the link --------------------------------------------------------------------------------------------


def link(request_id: UUID, to: str) -> str:
    """The page of a request for who reads the mail of `to`."""
    path = reverse("provider:letter", args=[token(request_id, to)], urlconf=settings.PUBLIC_SCHEMA_URLCONF)
    return links.public_url(path)


def token(request_id: UUID, to: str) -> str:
    """Signed, of one request and one address: links that went to an address that is no longer the provider's die."""
    return signing.dumps([request_id.hex, to.lower()], salt=SALT)


class LinkGone(Exception):
    """A link that was ours once and opens nothing any more; `request`: what it was of, where it may be sent anew."""

    def __init__(self, request: ProviderRequest | None = None) -> None:
        super().__init__()
        self.request = request


def opened(text: str) -> tuple[ProviderRequest, str]:
    """The request of a link and the address it went to. Raises signing.BadSignature for one that we never made,
    LinkGone for one that has expired or went to an address that is the provider's no more."""
    request_hex, to = signing.loads(text, salt=SALT)
    rows = ProviderRequest.objects.select_related("provider", "connection")
    row = rows.filter(pk=UUID(hex=request_hex)).first()
    if row is None or row.connection is None or row.provider.is_archived or not row.connection.is_enabled:
        raise LinkGone
    values = _settings(row)
    if str(values.get("to", "")).lower() != to:
        raise LinkGone
    try:
        signing.loads(text, salt=SALT, max_age=timedelta(days=int(values.get("link_days") or 14)))
    except signing.SignatureExpired:
        raise LinkGone(row) from None
    return row, to


def _settings(row: ProviderRequest) -> Mapping[str, Any]:
    return row.connection.config if row.connection else {}
