"""What the catalogue does when its days come."""

from apps.catalog import price_changes
from apps.core import due

due.task(price_changes.START)(price_changes.start)
