"""Provider connector: keys that were bought beforehand and lie in our own pools."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError
from apps.core.tenancy import current_partner, current_partner_id
from apps.providers import keys
from apps.providers.base import ProviderConnector, Provisioned, ProvisionRequest, Status
from apps.providers.models import ActivationKey, Renewal
from apps.providers.models import KeyPool as Pool


class KeyPool(ProviderConnector):
    """Hands out the keys of the pool whose code is the request's `sku`; a sandbox partner's of test pools."""

    title = _("Пул ключей")

    @dataclass(frozen=True)
    class Config:
        """Nothing to set: pools are filled in the console."""

    def check(self) -> str:
        free = ActivationKey.objects.filter(
            state=ActivationKey.State.FREE, pool__is_test=self.connection.is_test
        )
        return str(_("Свободных ключей: %d") % free.count())

    def provision(self, request: ProvisionRequest) -> Provisioned:
        return self._take(request.sku, request.request_id, holder=request.holder)

    def fetch(self, request_id: UUID, /) -> Provisioned | None:
        key = ActivationKey.objects.filter(request_id=request_id).select_related("pool").first()
        return _provisioned(key) if key else None

    def extend(self, request_id: UUID, *, extension_id: UUID, period_end: date) -> Provisioned:
        key = ActivationKey.objects.filter(request_id=request_id).select_related("pool").first()
        if key is None or key.state != ActivationKey.State.SOLD:
            raise ConnectorError(str(_("Ключа у этого запроса нет")), code="not_active")
        if key.pool.renewal == Renewal.SAME_KEY:
            return _provisioned(key)
        return self._take(key.pool.sku, extension_id)

    def cancel(self, request_id: UUID) -> Provisioned:
        keys.revoke(request_id)
        return Provisioned(Status.CANCELED)

    def _take(self, sku: str, request_id: UUID, *, holder: UUID | None = None) -> Provisioned:
        is_test = current_partner_id() is not None and current_partner().is_sandbox
        pool = Pool.objects.filter(sku=sku, is_test=is_test).first()
        key = keys.take(pool=pool, request_id=request_id, holder=holder) if pool else None
        if key is None:
            raise ConnectorError(_("Нет свободных ключей %s") % sku, retry=True, code="out_of_stock")
        return _provisioned(key)


def _provisioned(key: ActivationKey) -> Provisioned:
    if key.state in {ActivationKey.State.REVOKED, ActivationKey.State.DEFECTIVE}:
        return Provisioned(Status.CANCELED)
    return Provisioned(Status.ACTIVE, key=key.value, instructions=str(key.pool.instructions))
