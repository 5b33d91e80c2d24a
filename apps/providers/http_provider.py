"""Provider connector: a provider with an API over HTTP; apps/sandbox/PROVIDER_API.md is the protocol."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import httpx
from django.utils.translation import gettext_lazy as _

from apps.connectors import http
from apps.connectors.base import ConnectorError, setting
from apps.providers.base import ProviderConnector, Provisioned, ProvisionRequest, Status

# Codes that say that the same request may succeed later.
_LATER = {"out_of_stock"}


class HttpProvider(ProviderConnector):
    """Every request carries our id: whatever breaks on the way, it is made once there."""

    title = _("Поставщик по API")

    @dataclass(frozen=True)
    class Config:
        """Where the provider is and how we name ourselves."""

        base_url: str = setting(_("Адрес API"), help_text=_("Например, https://api.provider.ru"))
        token: str = setting(_("Токен"), secret=True)
        timeout: int = setting(_("Ждать ответа, секунд"), default=20)

    def check(self) -> str:
        self._call("GET", "/v1/ping")
        return str(_("Поставщик отвечает"))

    def provision(self, request: ProvisionRequest) -> Provisioned:
        body = {
            "request_id": str(request.request_id),
            "sku": request.sku,
            "customer_ref": request.customer_ref,
            "period_end": request.period_end.isoformat(),
            "parameters": dict(request.parameters),
        }
        return _provisioned(self._call("POST", "/v1/activations", body))

    def fetch(self, request_id: UUID, /) -> Provisioned | None:
        try:
            return _provisioned(self._call("GET", f"/v1/activations/{request_id}"))
        except ConnectorError as error:
            if error.code == "not_found":
                return None
            raise

    def extend(self, request_id: UUID, *, extension_id: UUID, period_end: date) -> Provisioned:
        body = {"extension_id": str(extension_id), "period_end": period_end.isoformat()}
        return _provisioned(self._call("POST", f"/v1/activations/{request_id}/extend", body))

    def cancel(self, request_id: UUID) -> Provisioned:
        try:
            answer = _provisioned(self._call("POST", f"/v1/activations/{request_id}/cancel", {}))
        except ConnectorError as error:
            # A request that never arrived has nothing to take back.
            if error.code != "not_found":
                raise
            return Provisioned(Status.CANCELED)
        if answer.status != Status.CANCELED:
            raise ConnectorError(str(_("Поставщик не сказал, что услуга отозвана")), unknown=True)
        return answer

    def suspend(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        return _provisioned(self._call("POST", f"/v1/activations/{request_id}/suspend", {}))

    def resume(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        return _provisioned(self._call("POST", f"/v1/activations/{request_id}/resume", {}))

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = http.request(
            self.connection,
            method,
            self.config.base_url.rstrip("/") + path,
            json=body,
            headers={"Authorization": f"Bearer {self.config.token}"},
            timeout=float(self.config.timeout),
        )
        found = _object(answer)
        if answer.is_success and found is not None:
            return found
        if answer.is_success:
            # It did something, and we do not know what: ask before going on.
            raise ConnectorError(str(_("Поставщик ответил не по протоколу")), unknown=True)
        code, message = str((found or {}).get("code", "")), str((found or {}).get("message", ""))
        raise ConnectorError(
            message or _("Поставщик отказал (%d)") % answer.status_code,
            retry=code in _LATER,
            code=code or str(answer.status_code),
        )


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _provisioned(activation: dict[str, Any]) -> Provisioned:
    status = activation.get("status")
    if status == "failed":
        raise ConnectorError(
            _("Поставщик отказал: %s") % activation.get("reason"), code=str(activation.get("reason"))
        )
    if status not in {Status.ACTIVE, Status.PENDING, Status.CANCELED}:
        raise ConnectorError(_("Неизвестное состояние у поставщика: %s") % status, unknown=True)
    return Provisioned(
        Status(status),
        key=str(activation.get("key") or ""),
        url=str(activation.get("url") or ""),
        instructions=str(activation.get("instructions") or ""),
    )
