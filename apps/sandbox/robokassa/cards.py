"""Test cards: Robokassa says of a refusal only that the operation was cancelled."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """Whether it pays at once, and later by the number of its first payment."""

    title: str
    pays: bool = True
    renews: bool = True
    three_ds: bool = False


CARDS = {
    "2200000000000053": Card("успех"),
    "4111111111111111": Card("успех после 3-D Secure", three_ds=True),
    "2200000000000061": Card("отказ банка", pays=False),
    "2200000000000079": Card("успех, повторные списания — отказ", renews=False),
}
