"""Limited stock is put aside for who is about to pay: a key lies for an item of an order until that is over.

So nobody pays for what is gone. Which key it is does not matter: fulfilment takes those of its own item first.
"""

from collections.abc import Iterable, Sequence

from django.utils.translation import gettext_lazy as _

from apps.core import gather
from apps.core.errors import Refused
from apps.orders.models import OrderItem
from apps.orders.quoting import Quoted
from apps.providers import keys

RESERVED = "reserved"
"""In the terms of an item: how many keys were put aside for it."""


def reserve(quoted: Sequence[Quoted]) -> None:
    """Puts aside the keys of an order that is being placed; one statement, none where nothing is sold by key.

    What is promised for later is sold without a key, too. Raises Refused `sold_out`.
    """
    rest = [(one.item, supply) for one in quoted for supply in one.keys]
    while rest:
        # Two items of one tariff are asked for one after the other: each would choose the same keys.
        turn = {sku: (item, provider_id) for item, (provider_id, sku) in reversed(rest)}
        rest = [(item, supply) for item, supply in rest if turn[supply[1]][0] is not item]
        wanted = [keys.Wanted(item.pk, source, sku, item.quantity) for sku, (item, source) in turn.items()]
        for sku, held in keys.reserve(wanted).items():
            item = turn[sku][0]
            if held < item.quantity and "promised_at" not in item.terms:
                raise Refused(
                    "sold_out", _("«%s»: столько уже не осталось") % item.name, status=409, left=held
                )
            if held:
                item.terms[RESERVED] = item.terms.get(RESERVED, 0) + held


def release(items: Iterable[OrderItem]) -> None:
    """What still lies for items that are over may be sold to others; no statement where nothing was put aside."""
    if held := [one.pk for one in items if one.terms.get(RESERVED)]:
        gather.at_end(keys.release, held)
