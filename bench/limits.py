"""What each bench has to come to: the limits of the product, as data. Above one, `make bench` ends with an error."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure of a bench and its bound; `is_least` where more is better."""

    figure: str
    bound: float
    is_least: bool = False

    def holds(self, found: float) -> bool:
        """Whether a figure keeps to it; to the thousandth, as it is shown."""
        found = round(found, 3)
        return found >= self.bound if self.is_least else found <= self.bound

    def __str__(self) -> str:
        return f"{self.figure} {'≥' if self.is_least else '≤'} {self.bound:g}"


LIMITS: dict[str, tuple[Limit, ...]] = {
    "order_api": (Limit("ratio", 3),),
    "order_intake": (
        Limit("per_second", 500, is_least=True),
        Limit("single_per_second", 100, is_least=True),
    ),
    "renewal_run": (Limit("ratio", 2),),
    # The ideal is the gateway's own time divided by the calls in flight.
    "charging_30": (Limit("ratio", 1.25),),
    "charging_200": (Limit("ratio", 2.5),),
    # Ten seconds of messages: the last is settled a second after it came.
    "webhook_intake": (Limit("ratio", 1.1),),
    # The 95th of a hundred, from paid to key.
    "order_to_key": (Limit("seconds", 1),),
    # How much later the other nine deliver while one is off.
    "provider_outage": (Limit("ratio", 1.25),),
    "entitlement": (Limit("p95_seconds", 0.01),),
    "control_room_1m": (Limit("seconds", 0.3),),
    "invoice_pdf": (Limit("p95_seconds", 0.2), Limit("per_second", 20, is_least=True)),
    "partner_create": (Limit("seconds", 1),),
    "migrate_column_200": (Limit("ratio", 3),),
    "migrate_noop_1000": (Limit("seconds", 3),),
    "idle_tick_1000": (Limit("seconds", 0.05),),
}
"""By the bench's name: what it is held to, in its own figures."""


def exceeded(results: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What is not kept, in words: bench, limit and what was measured."""
    return [
        f"{name}: {limit}, measured {result[limit.figure]:.3f}"
        for name, result in results.items()
        for limit in LIMITS.get(name, ())
        if not limit.holds(result[limit.figure])
    ]
