"""Makes partners: live, with schema, subdomain and whatever the apps above give a new one."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import clock, events, faults
from apps.core.errors import Refused
from apps.core.tenancy import in_partner, in_public
from apps.partners import schemas
from apps.partners.models import Domain, LegalEntity, Partner

Hook = Callable[..., None]
_hooks: list[Hook] = []


def on_create(hook: Hook) -> Hook:
    """Registers what a new partner gets: called in its schema as hook(partner, **brand)."""
    _hooks.append(hook)
    return hook


def create_partner(
    *,
    slug: str,
    name: str,
    legal_entity: LegalEntity | None = None,
    is_sandbox: bool = False,
    time_zone: str = "Europe/Moscow",
    actor: str = "",
    **brand: Any,
) -> Partner:
    """Makes a partner that is live at once; all of it in one transaction, so it is whole or not there.

    Raises Refused where the slug is taken or unusable.
    """
    with in_public():
        partner = Partner(
            slug=slug,
            name=name,
            legal_entity=legal_entity or _operator(),
            is_sandbox=is_sandbox,
            clock_at=clock.wall() if is_sandbox else None,
            time_zone=time_zone,
            created_at=clock.wall(),
        )
        try:
            partner.clean_fields(exclude=["schema_name", "legal_entity"])
            with transaction.atomic():
                _make(partner, actor, brand)
        except ValidationError as error:
            raise Refused("partner_invalid", "; ".join(error.messages), 400) from error
        except IntegrityError as error:
            raise Refused("partner_exists", _("Такой поддомен уже занят")) from error
    return partner


def _make(partner: Partner, actor: str, brand: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('partners_partner', 'id'))")
        partner.pk = cursor.fetchone()[0]
    partner.schema_name = f"p{partner.pk:06d}"
    partner.save(force_insert=True)
    Domain.objects.create(domain=partner.host, tenant=partner, is_primary=True)
    schemas.build(partner.schema_name)
    faults.at("partners.schema-not-committed")
    journal.record(
        "partner.created", "partners.Partner", partner.pk, actor=actor, data={"slug": partner.slug}
    )
    with in_partner(partner):
        for hook in _hooks:
            hook(partner, **brand)
    events.publish("partners.PartnerCreated", _as_uuid(partner.pk))


def _as_uuid(key: int) -> Any:
    import uuid

    return uuid.UUID(int=key)


def _operator() -> LegalEntity:
    entity = LegalEntity.objects.filter(is_operator=True).first()
    if entity is None:
        raise Refused("no_operator", _("Сначала заведите юридическое лицо платформы"), 400)
    return entity
