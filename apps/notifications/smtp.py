"""E-mail over SMTP: any mail server or relay."""

import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from django.conf import settings
from django.db import connection as database
from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError, setting
from apps.core import clock
from apps.notifications.sender import MessageSender, Outgoing, Receipt

SECONDS = 15.0
"""Per step: all steps together end within the lease of due work."""


@dataclass(frozen=True)
class Config:
    """Where letters are handed in."""

    host: str = setting(_("Сервер"))
    from_email: str = setting(_("Адрес отправителя"))
    port: int = setting(_("Порт"), default=587)
    user: str = setting(_("Имя"), default="")
    password: str = setting(_("Пароль"), secret=True, default="")
    encryption: str = setting(_("Шифрование"), default="starttls", help_text=_("starttls, tls или пусто"))


class Smtp(MessageSender):
    """Hands a letter in; SMTP cannot be asked afterwards what became of it."""

    kind = "email"
    title = _("Почта (SMTP)")
    Config = Config

    def check(self) -> str:
        with self._session() as server:
            server.noop()
        return str(_("Сервер принимает письма"))

    def send(self, message: Outgoing, /) -> Receipt:
        try:
            letter = self._letter(message)
        except ValueError as error:
            raise ConnectorError(_("Письмо не составить: %s") % error) from error
        with self._session() as server:
            _step(server.mail, self.config.from_email)
            _step(server.rcpt, message.to)
            try:
                code, answer = server.data(letter.as_bytes(policy=SMTP))
            except smtplib.SMTPDataError as error:
                raise _refusal(error.smtp_code, error.smtp_error) from error
            except OSError as error:
                # The server may have taken the letter before the line broke.
                raise ConnectorError(_("Связь прервалась: %s") % error, unknown=True) from error
            if code != 250:
                raise _refusal(code, answer)
        return Receipt("sent", provider_id=str(letter["Message-ID"]))

    def fetch(self, message: Outgoing, /) -> Receipt:
        return Receipt("unknown", reason=str(_("Почтовый сервер не отвечает на вопросы о письмах")))

    def _letter(self, message: Outgoing) -> EmailMessage:
        letter = EmailMessage()
        name, _at, domain = self.config.from_email.partition("@")
        letter["From"] = Address(" ".join(message.sender_name.split()), name, domain)
        letter["To"] = message.to
        letter["Subject"] = message.subject
        letter["Date"] = format_datetime(clock.wall())
        letter["Message-ID"] = f"<{message.id}@{domain}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.text, cte="base64")
        if message.html:
            letter.add_alternative(message.html, subtype="html", cte="base64")
        return letter

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        if database.in_atomic_block:
            raise RuntimeError("No call outside while a transaction is open")
        try:
            server = self._connect()
        except smtplib.SMTPAuthenticationError as error:
            raise ConnectorError(
                _("Сервер не принял имя и пароль: %s") % error.smtp_code, retry=True
            ) from error
        except OSError as error:
            raise ConnectorError(_("Почтовый сервер недоступен: %s") % error, retry=True) from error
        try:
            yield server
        finally:
            server.close()

    def _connect(self) -> smtplib.SMTP:
        config = self.config
        # Reading the system's certificates takes longer than the letter: only where they are needed.
        trusted = ssl.create_default_context() if config.encryption else None
        _refuse_private(config.host, config.port)
        if config.encryption == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                config.host, config.port, timeout=SECONDS, context=trusted
            )
        else:
            server = smtplib.SMTP(config.host, config.port, timeout=SECONDS)
        try:
            if config.encryption == "starttls":
                server.starttls(context=trusted)
            if config.user:
                server.login(config.user, config.password)
            server.ehlo_or_helo_if_needed()
        except BaseException:
            server.close()
            raise
        return server


def _step(command: Any, address: str) -> None:
    """A command before the letter itself: whatever goes wrong here, nothing was sent."""
    try:
        code, answer = command(address)
    except OSError as error:
        raise ConnectorError(_("Почтовый сервер прервал связь: %s") % error, retry=True) from error
    if code not in (250, 251):
        raise _refusal(code, answer)


def _refusal(code: int, answer: bytes | str) -> ConnectorError:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return ConnectorError(f"{code} {text}", retry=400 <= code < 500, code=str(code))


def _refuse_private(host: str, port: int) -> None:
    if settings.ALLOW_PRIVATE_ADDRESSES:
        return
    for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not ipaddress.ip_address(str(found[4][0]).partition("%")[0]).is_global:
            raise ConnectorError(_("%s: частный адрес") % host)
