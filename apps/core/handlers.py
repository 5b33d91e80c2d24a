"""Due work of the platform itself: the nightly audit and housekeeping, a slice of partners at a time."""

from uuid import UUID

from apps.core import audit, due, housekeeping, slices

AUDIT, TIDY = "core.audit", "core.tidy"


@due.task(AUDIT)
def audit_slice(object_id: UUID) -> None:
    """Audits a slice of partners."""
    audit.put_into_queue(audit.of_partners(slices.partners(object_id)))


@due.task(TIDY)
def tidy_slice(object_id: UUID) -> None:
    """Drops what a slice of partners no longer needs."""
    housekeeping.of_partners(slices.partners(object_id))
