"""Who may give money back alone, and how much: above that a second person decides.

Every refund passes here, by whatever page, action or key it was asked for. What the platform gives back by itself
(`actor` is empty) and what customers do in their cabinet has no limit: nobody chose the sum.
"""

from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _

from apps.core import clock
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.partners.rights import Rights
from apps.policies import refunding
from apps.policies.refunding import LimitedRole

API = "api:"
DECIDERS = frozenset({"finance", "admin"})
"""Roles that decide about others' refunds."""


def roles_of(actor: str) -> set[str]:
    """The roles that the limits of an actor are by; empty for whoever is neither staff nor a key."""
    if actor.startswith(API):
        return {LimitedRole.API.value}
    user = User.objects.filter(username=actor).first() if actor else None
    return set(Rights(user, current_partner()).roles) if user else set()


def above(actor: str, amount: Money) -> str:
    """Why a second person decides about a refund of `amount`; empty where none need, and then it is counted."""
    roles = roles_of(actor)
    if not roles:
        return ""
    partner = current_partner()
    # Channels of two partners may have one code.
    who = f"{partner.pk}:{actor}" if actor.startswith(API) else actor
    limit = refunding.allowed(roles)
    return refunding.spend(limit, amount, actor=who, day=clock.today(), is_sandbox=partner.is_sandbox)


def must_decide(actor: str, asked_by: str) -> None:
    """Raises Refused where `actor` may not decide about what `asked_by` asked for."""
    if actor == asked_by:
        raise Refused("own_refund", _("Свой возврат подтверждает другой сотрудник"))
    if actor.startswith(API) or not roles_of(actor) & DECIDERS:
        raise Refused("no_right", _("Возвраты подтверждают финансы и администраторы"), status=403)
