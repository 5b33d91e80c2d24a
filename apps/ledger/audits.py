"""What must hold of the ledger over all partners."""

from collections.abc import Iterator

from django.db import connection
from django.db.models import Exists, F, Model, OuterRef, Q

from apps.connectors.models import Connection
from apps.core import audit
from apps.ledger.models import Account, Transfer
from apps.partners.models import LegalEntity, Partner

TRIGGER = "ledger_transfer_refuses"
audit.guarded("ledger_transfer", TRIGGER, "ledger_transfer_open")


_PARTIAL = audit.Query(
    lambda: Transfer.objects.filter(
        Q(amount__lte=0) | Q(debit=F("credit")) | ~Q(debit__in=Account.values) | ~Q(credit__in=Account.values)
    )
)


@audit.rule("ledger.transfer-whole", scope="public")
def transfer_whole() -> Iterator[str]:
    """Every transfer moves a positive amount between two known accounts."""
    for transfer in _PARTIAL.rows():
        yield f"Transfer {transfer.pk}: {transfer.debit} from {transfer.credit}, {transfer.amount}"


def _dangling(name: str, model: type[Model]) -> audit.Query[Transfer]:
    there = model._default_manager.filter(pk=OuterRef(f"{name}_id"))
    return audit.Query(lambda: Transfer.objects.filter(~Exists(there), **{f"{name}__isnull": False}))


_DIMENSIONS: dict[str, type[Model]] = {"partner": Partner, "seller": LegalEntity, "connection": Connection}
_DANGLING = {name: _dangling(name, model) for name, model in _DIMENSIONS.items()}


@audit.rule("ledger.dimension-exists", scope="public")
def dimension_exists() -> Iterator[str]:
    """Partner, seller and connection of every transfer exist (no constraint holds them)."""
    for name, dangling in _DANGLING.items():
        for transfer in dangling.rows():
            yield f"Transfer {transfer.pk}: {name} {getattr(transfer, f'{name}_id')} does not exist"


_MIXED = audit.Query(
    lambda: Transfer.objects.filter(
        ~Exists(Partner.objects.filter(pk=OuterRef("partner_id"), is_sandbox=OuterRef("is_sandbox")))
    )
)


@audit.rule("ledger.sandbox-apart", scope="public")
def sandbox_apart() -> Iterator[str]:
    """A transfer is marked as sandbox exactly where its partner is one."""
    for transfer in _MIXED.rows():
        yield f"Transfer {transfer.pk} of partner {transfer.partner_id}: is_sandbox={transfer.is_sandbox}"


@audit.rule("ledger.append-only", scope="public")
def append_only() -> Iterator[str]:
    """The trigger that refuses UPDATE, DELETE and TRUNCATE is there and always fires."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgenabled, tgtype FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = %s",
            [Transfer._meta.db_table, TRIGGER],
        )
        found = cursor.fetchone()
    # tgtype is made of bits: BEFORE 2, DELETE 8, UPDATE 16, TRUNCATE 32; no bit for "per statement".
    if found is None or found[0] not in {"A", b"A"} or found[1] != 2 | 8 | 16 | 32:
        yield f"The trigger {TRIGGER} does not protect the ledger: {found}"


_LATE = audit.Query(
    lambda: Transfer.objects.filter(
        Exists(
            LegalEntity.objects.filter(
                pk=OuterRef("seller_id"),
                closed_until__gte=OuterRef("business_date"),
                closed_at__lt=OuterRef("recorded_at"),
            )
        )
    )
)


@audit.rule(
    "ledger.closed-books",
    scope="public",
    of=(audit.some(LegalEntity, closed_until__isnull=False, closed_at__isnull=False),),
)
def closed_books() -> Iterator[str]:
    """After books were closed, nothing was posted to their days."""
    for transfer in _LATE.rows():
        yield f"Transfer {transfer.pk} was posted to {transfer.business_date} after its books were closed"
