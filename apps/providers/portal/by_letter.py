"""Provider connector of a provider without any API: it is asked by letter and answers on a page that a link opens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError, Kind, setting
from apps.connectors.models import Connection
from apps.providers.models import Provider
from apps.providers.portal import letters
from apps.providers.portal.connector import Portal
from apps.providers.portal.models import LetterKind, ProviderRequest


class ByLetter(Portal):
    """As a provider's console, but that each request is told by letter (`letters`), and no sign-in is needed."""

    title = _("Поставщик по почте")
    is_local: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Config:
        """To whom, and in which words."""

        to: str = setting(_("Почта поставщика"), help_text=_("Кто читает её, тот и отвечает за поставщика"))
        answer_hours: int = setting(
            _("Ждать ответа, часов"), default=24, help_text=_("Потом напоминаем, трижды, и зовём сотрудника")
        )
        link_days: int = setting(_("Ссылка действует, дней"), default=14)
        sender_name: str = setting(_("Имя отправителя"), default="ARMOR")
        subject: str = setting(_("Тема письма"), default=letters.SUBJECT)
        text: str = setting(
            _("Текст письма"),
            default=letters.TEXT,
            has_lines=True,
            help_text=_(
                "Подстановки: $what, $sku, $number, $service, $customer, $period_end, $parameters, $answer_by, "
                "$provider, $link"
            ),
        )

    @classmethod
    def wrong(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        try:
            validate_email(str(values.get("to") or ""))
        except ValidationError:
            found["to"] = _("Проверьте адрес почты: в нём ошибка")
        for name, most in (("answer_hours", 720), ("link_days", 90)):
            if not 1 <= int(values.get(name) or 0) <= most:
                found[name] = _("От 1 до %d") % most
        for name in ("subject", "text"):
            if said := letters.wrong(str(values.get(name) or "")):
                found[name] = said
        if "text" not in found and "$link" not in str(values.get("text")).replace("${link}", "$link"):
            found["text"] = _("Без $link поставщику нечем ответить")
        return found

    @property
    def provider(self) -> Provider:
        """Whose it is: told by who opened it, or the one that is reached through this connection."""
        if self._provider is None:
            field = "test_connection" if self.connection.is_test else "connection"
            self._provider = Provider.objects.filter(**{field: self.connection}).order_by("pk").first()
        if self._provider is None:
            raise ConnectorError(str(_("Это подключение не выбрано ни у одного поставщика")))
        return self._provider

    @provider.setter
    def provider(self, provider: Provider) -> None:
        self._provider = provider

    _provider: Provider | None = None

    def check(self) -> str:
        mail = Connection.objects.filter(kind=Kind.EMAIL, is_enabled=True, is_test=self.connection.is_test)
        if not mail.exists():
            raise ConnectorError(str(_("Нет включённого подключения почты: письма не уйдут")))
        return str(_("Письма пойдут на %s") % self.config.to)

    def asked(self, row: ProviderRequest) -> None:
        letters.write(row, LetterKind.ASKED)
