"""Provider connector of a provider that answers by itself: what is wanted waits in its console until it has decided."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Self
from uuid import UUID, uuid5

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError, Kind
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.tenancy import current_partner
from apps.providers.base import ProviderConnector, Provisioned, ProvisionRequest, Status
from apps.providers.models import Provider
from apps.providers.portal import requests
from apps.providers.portal.models import ProviderRequest, RequestKind, RequestState


class Portal(ProviderConnector):
    """Writes the request down, and reads what became of it: `requests` are the provider's side."""

    title = _("Кабинет поставщика")
    provider: Provider
    asks: str = RequestKind.PROVISION
    """What something new is: of a step at another provider than the product's own the customer gets nothing."""

    @dataclass(frozen=True)
    class Config:
        """Nothing to set: whose console it is, the provider says."""

    @classmethod
    def of(cls, provider: Provider) -> Self:
        """The connector of one provider, for the current partner."""
        path, is_test = f"{cls.__module__}.{cls.__name__}", current_partner().is_sandbox
        connector = cls(
            cls.Config(),
            Connection(kind=Kind.PROVIDER, connector=path, name=str(cls.title), is_test=is_test),
        )
        connector.provider = provider
        return connector

    def check(self) -> str:
        return str(_("Исполняет поставщик в своём кабинете"))

    def provision(self, request: ProvisionRequest) -> Provisioned:
        return self._asked(
            request.request_id,
            self.asks,
            request_id=request.request_id,
            sku=request.sku,
            customer_ref=request.customer_ref,
            period_end=request.period_end,
            parameters=dict(request.parameters),
        )

    def fetch(self, request_id: UUID, /) -> Provisioned | None:
        found = ProviderRequest.objects.filter(pk=request_id, provider=self.provider).first()
        return _told(found) if found else None

    def extend(self, request_id: UUID, *, extension_id: UUID, period_end: date) -> Provisioned:
        return self._asked(
            extension_id, RequestKind.EXTEND, period_end=period_end, **self._of_service(request_id)
        )

    def cancel(self, request_id: UUID) -> Provisioned:
        with transaction.atomic():
            made = ProviderRequest.objects.select_for_update().filter(pk=request_id).first()
            if made is None:
                return Provisioned(Status.CANCELED)
            requests.call_off(made)
            if made.state != RequestState.APPROVED:
                return Provisioned(Status.CANCELED)
        return self._asked(uuid5(request_id, "cancel"), RequestKind.CANCEL, **self._of_service(request_id))

    def suspend(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        return self._asked(pause_id, RequestKind.SUSPEND, **self._of_service(request_id))

    def resume(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        return self._asked(pause_id, RequestKind.RESUME, **self._of_service(request_id))

    def call_off(self, request_id: UUID, key: UUID, kind: str) -> None:
        """What was asked under `key` is wanted no more, in the caller's transaction: from then on nothing is asked so.

        Not for what makes a service, nor takes it back.
        """
        row, _is_new = ProviderRequest.objects.get_or_create(
            pk=key,
            # Not asked yet, by somebody who is slow: who comes so late finds it called off.
            defaults={
                **self._defaults(kind, **self._of_service(request_id)),
                "connection_id": None,
                "state": RequestState.CANCELED,
                "settled_at": clock.wall(),
            },
        )
        requests.call_off(ProviderRequest.objects.select_for_update().get(pk=row.pk))

    def _of_service(self, request_id: UUID) -> dict[str, Any]:
        first = ProviderRequest.objects.filter(pk=request_id).first()
        known = {"sku": first.sku, "customer_ref": first.customer_ref} if first else {}
        return {"request_id": request_id, **known}

    def _asked(self, key: UUID, kind: str, **fields: Any) -> Provisioned:
        with transaction.atomic():
            row, is_new = ProviderRequest.objects.get_or_create(
                pk=key, defaults=self._defaults(kind, **fields)
            )
            if is_new:
                self.asked(row)
        return _told(row)

    def _defaults(self, kind: str, **fields: Any) -> dict[str, Any]:
        return {
            **fields,
            "kind": kind,
            "provider": self.provider,
            "connection_id": self.connection.pk,
            "partner_id": current_partner().pk,
            "is_test": self.connection.is_test,
            "created_at": clock.wall(),
        }

    def asked(self, row: ProviderRequest) -> None:
        """A request that was just written down, in the same transaction."""


def _told(row: ProviderRequest) -> Provisioned:
    if row.state == RequestState.FAILED:
        raise ConnectorError(_("Поставщик отказал: %s") % row.reason, code="failed")
    if row.state == RequestState.CANCELED or (
        row.state == RequestState.APPROVED and row.kind == RequestKind.CANCEL
    ):
        return Provisioned(Status.CANCELED)
    if row.state == RequestState.APPROVED:
        return Provisioned(Status.ACTIVE, key=row.key, url=row.url, instructions=row.instructions)
    return Provisioned(Status.PENDING)
