"""Provider connector for what a person does: a policy made by hand, a provider without an API."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.providers.base import ProviderConnector, Provisioned, ProvisionRequest, Status


class Manual(ProviderConnector):
    """Answers every time that staff are needed."""

    title = _("Вручную")

    @dataclass(frozen=True)
    class Config:
        """Nothing to set."""

    def check(self) -> str:
        return str(_("Выдаёт сотрудник"))

    def provision(self, request: ProvisionRequest) -> Provisioned:
        return Provisioned(Status.MANUAL)

    def fetch(self, request_id: UUID, /) -> Provisioned | None:
        return Provisioned(Status.MANUAL)

    def extend(self, request_id: UUID, *, extension_id: UUID, period_end: date) -> Provisioned:
        return Provisioned(Status.MANUAL)

    def cancel(self, request_id: UUID) -> Provisioned:
        return Provisioned(Status.MANUAL)

    def suspend(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        return Provisioned(Status.MANUAL)

    def resume(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        return Provisioned(Status.MANUAL)
