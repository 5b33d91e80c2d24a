"""What payments, refunds and receipts have in common in a lane."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from apps.connectors.lanes import Calls


class Sending(Calls):
    """What is written here and made there. `sends` those that are written, `asks` about those that are under way.

    One that does both is a sweep: what is open after it is looked at again. A plan has a `key`, its object's id.
    """

    def __init__(self, *, sends: bool = False, asks: bool = False) -> None:
        self._sends, self._asks = sends, asks

    @abstractmethod
    def to_send(self, object_ids: Sequence[UUID]) -> dict[UUID, Any]:
        """Claims those that are written, and gives their plans."""

    @abstractmethod
    def to_ask(self, object_ids: Sequence[UUID]) -> dict[UUID, Any]:
        """Plans of what to ask about those whose other side may know more of them than we do."""

    @abstractmethod
    def look_again(self, object_ids: Sequence[UUID]) -> None:
        """Plans the next look at those that are still open."""

    def claim(self, object_ids: Sequence[UUID]) -> dict[UUID, Any]:
        plans = self.to_send(object_ids) if self._sends else {}
        if self._asks and (others := [key for key in object_ids if key not in plans]):
            plans |= self.to_ask(others)
        if self._is_sweep and (idle := [key for key in object_ids if key not in plans]):
            self.look_again(idle)
        return plans

    def record(self, answers: Sequence[tuple[Any, Any]]) -> None:
        super().record(answers)
        if self._is_sweep:
            self.look_again([plan.key for plan, _answer in answers])

    @property
    def _is_sweep(self) -> bool:
        return self._sends and self._asks
