"""Subscriptions that are sold together: lines of one first invoice, whose own subscription leads the others.

They begin with its payment and by its method; from then on each is renewed, changed and cancelled by itself.
"""

from apps.billing.models import Invoice, InvoicePurpose, Subscription

OTHERS = "sold_with"
"""In the terms of the one that leads: how many were sold with it. Most are sold alone, and are asked for nothing."""


def led_by(lead: Subscription) -> list[Subscription]:
    """Those sold together with it, locked in the order of their ids; none where it was sold alone."""
    if not lead.terms.get(OTHERS):
        return []
    first = Invoice.objects.filter(subscription=lead, purpose=InvoicePurpose.NEW)
    rows = Subscription.objects.select_for_update(no_key=True, of=("self",)).exclude(pk=lead.pk)
    return list(rows.filter(pk__in=first.values("lines__subscription")).order_by("pk"))


def name(lead: Subscription) -> str:
    """What was bought, in the words of a letter: of several the first and how many more."""
    more = lead.terms.get(OTHERS)
    return f"{lead.name} + {more}" if more else lead.name
