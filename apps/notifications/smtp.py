"""E-mail over SMTP: any mail server or relay."""

import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.encoders import encode_base64
from email.header import Header
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from apps.connectors import calls
from apps.connectors.base import ConnectorError, setting
from apps.core import clock
from apps.notifications.sender import File, MessageSender, Outgoing, Receipt

SECONDS = 15.0
"""Per step: all steps together end within the lease of due work."""
# The newer policies lose spaces of a long subject between its encoded words, and letters of a long name.
WIRE = compat32.clone(linesep="\r\n", mangle_from_=False)


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
        with self._session("NOOP") as (server, said):
            _step(said, server.noop)
        return str(_("Сервер принимает письма"))

    def send(self, message: Outgoing, /) -> Receipt:
        try:
            letter = self._letter(message)
        except ValueError as error:
            raise ConnectorError(_("Письмо не составить: %s") % error) from error
        with self._session("SEND", f"Message-ID: {letter['Message-ID']}") as (server, said):
            _step(said, server.mail, self.config.from_email)
            _step(said, server.rcpt, message.to)
            answer: bytes | str
            try:
                code, answer = server.data(letter.as_bytes(policy=WIRE))
            except smtplib.SMTPDataError as error:
                code, answer = error.smtp_code, error.smtp_error
            except OSError as error:
                # The server may have taken the letter before the line broke.
                raise ConnectorError(_("Связь прервалась: %s") % error, unknown=True) from error
            _heard(said, code, answer)
        return Receipt("sent", provider_id=str(letter["Message-ID"]))

    def fetch(self, message: Outgoing, /) -> Receipt:
        return Receipt("unknown", reason=str(_("Почтовый сервер не отвечает на вопросы о письмах")))

    def _letter(self, message: Outgoing) -> "Message[Any, Any]":
        letter: Message[Any, Any] = MIMEText(message.text, "plain", "utf-8")
        if message.html:
            letter = MIMEMultipart("alternative", None, [letter, MIMEText(message.html, "html", "utf-8")])
        if message.files:
            letter = MIMEMultipart("mixed", None, [letter, *map(_part, message.files)])
        sender = _words("From", " ".join(message.sender_name.split()))
        sender.append(f"<{_address(self.config.from_email)}>", "us-ascii")
        letter["From"] = sender
        letter["To"] = _address(message.to)
        letter["Subject"] = _words("Subject", message.subject)
        letter["Date"] = format_datetime(clock.wall())
        letter["Message-ID"] = f"<{message.id}@{self.config.from_email.partition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"
        return letter

    @contextmanager
    def _session(self, what: str, request: str = "") -> Iterator[tuple[smtplib.SMTP, calls.Said]]:
        url = f"smtp://{self.config.host}:{self.config.port}"
        with calls.call(self.connection, what, url, request) as said:
            try:
                server = self._connect()
            except smtplib.SMTPAuthenticationError as error:
                raise ConnectorError(
                    _("Сервер не принял имя и пароль: %s") % error.smtp_code, retry=True
                ) from error
            except OSError as error:
                raise ConnectorError(_("Почтовый сервер недоступен: %s") % error, retry=True) from error
            try:
                yield server, said
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


def _part(file: File) -> MIMEBase:
    part = MIMEBase(*file.content_type.split("/"))
    part.set_payload(file.content)
    encode_base64(part)
    part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", file.name))
    return part


def _words(name: str, text: str) -> Header:
    """A header of any length in any script. Raises ValueError for what would end it early."""
    if len(text.splitlines()) > 1 or not text.replace("\xa0", "").isprintable():
        raise ValueError(f"{name}: {text!r}")
    return Header(text, "utf-8", header_name=name)


def _address(address: str) -> str:
    if not address.isascii() or not address.isprintable() or set(address) & set(" <>"):
        raise ValueError(repr(address))
    return address


def _step(said: calls.Said, command: Any, *given: str) -> None:
    """A command before the letter itself: whatever goes wrong here, nothing was sent."""
    try:
        code, answer = command(*given)
    except OSError as error:
        raise ConnectorError(_("Почтовый сервер прервал связь: %s") % error, retry=True) from error
    _heard(said, code, answer)


def _heard(said: calls.Said, code: int, answer: bytes | str) -> None:
    """Notes the server's answer; raises ConnectorError where it is a refusal."""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    said.status, said.text = code, text
    if code not in (250, 251):
        raise ConnectorError(f"{code} {text}", retry=400 <= code < 500, code=str(code))


def _refuse_private(host: str, port: int) -> None:
    if settings.ALLOW_PRIVATE_ADDRESSES:
        return
    for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not ipaddress.ip_address(str(found[4][0]).partition("%")[0]).is_global:
            raise ConnectorError(_("%s: частный адрес") % host)
