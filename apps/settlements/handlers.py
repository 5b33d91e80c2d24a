"""Due work of settlements."""

from uuid import UUID

from apps.core import due
from apps.settlements import statements


@due.task(statements.MATCH)
def match(object_id: UUID) -> None:
    """Matches the lines of a statement whose loading was cut short."""
    statements.match(object_id)
