"""Mass actions are due work."""

from apps.billing.mass import actions
from apps.core import due

due.task(actions.WORK)(actions.work)
