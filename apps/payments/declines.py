"""Why a charge failed, as far as it matters for what to do next: a gateway's word becomes a class of decline."""

from typing import TYPE_CHECKING

from apps.payments.models import CONSENT_REVOKED
from apps.policies.dunning import CAUTIOUS, DeclineClass, RetryRules

if TYPE_CHECKING:
    from apps.connectors.models import Connection

NO_METHOD = "no_method"
"""There was nothing to charge by."""
OURS = {
    CONSENT_REVOKED: DeclineClass.REVOKED,
    NO_METHOD: DeclineClass.REVOKED,
    "gateway_unavailable": DeclineClass.TECHNICAL,
    "gateway_refused": DeclineClass.TECHNICAL,
    "never_received": DeclineClass.TECHNICAL,
    "too_many_requests": DeclineClass.TECHNICAL,
    "invalid_credentials": DeclineClass.TECHNICAL,
    "forbidden": DeclineClass.TECHNICAL,
}
"""Reasons that we give ourselves, and those of a gateway that took no payment at all."""


def class_of(reason: str, connection: "Connection | None" = None) -> str:
    """The class of a decline at the gateway of `connection`; what nobody knows is UNKNOWN."""
    theirs = getattr(connection.connector_class, "decline_classes", {}) if connection else {}
    return str(OURS.get(reason) or theirs.get(reason) or DeclineClass.UNKNOWN)


def rules_of(connection: "Connection | None") -> RetryRules:
    """What the gateway of `connection` forbids."""
    found: RetryRules = (
        getattr(connection.connector_class, "retry_rules", CAUTIOUS) if connection else CAUTIOUS
    )
    return found
