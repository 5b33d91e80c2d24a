"""Chargebacks that a gateway's register tells of: each has its case, and one that nobody opened is opened by it."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.connectors.models import Connection, GatewayReference
from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import in_partner
from apps.payments import disputes
from apps.payments.dispute_models import DisputeKind
from apps.payments.gateway import EntryKind, RegisterEntry
from apps.payments.models import Payment

TO_ANSWER = timedelta(days=7)
"""For which a case that only a register told of may be answered: it tells no deadline, staff set the bank's."""


def open_cases(connection: Connection, entries: Iterable[RegisterEntry], *, actor: str = "") -> None:
    """Opens what the register has and we have not, once; staff hear of it as of any other. Safe to repeat.

    What cannot be a chargeback of ours (of nobody's payment, of more than came) stays a difference of the day.
    """
    for one in entries:
        if one.kind == EntryKind.DISPUTE and (found := _reference(connection, one)) is not None:
            with in_partner(found.partner_id):
                _open(found, one, actor)


def _reference(connection: Connection, one: RegisterEntry) -> GatewayReference | None:
    known = GatewayReference.objects.filter(connection=connection, kind="payments.payment")
    if one.payment_gateway_id:
        found = known.filter(gateway_id=one.payment_gateway_id).first()
        if found is not None:
            return found
    number = one.reference or one.payment_gateway_id
    is_number = number.isascii() and number.isdigit() and len(number) < 19
    return known.filter(pk=int(number)).first() if is_number else None


def _open(reference: GatewayReference, one: RegisterEntry, actor: str) -> None:
    payment = Payment.objects.filter(reference=reference).first()
    if payment is None:
        return
    # The register's number, or what makes the same line the same case.
    number = one.gateway_id or (f"register:{one.at:%Y-%m-%d}:{one.amount.amount}" if one.at else "register")
    # Staff may have opened it by the bank's number, of which the register knows nothing: the sum tells.
    same = Q(gateway_id=number) | Q(amount=one.amount.amount)
    if payment.disputes.filter(same, kind=DisputeKind.CHARGEBACK).exists():
        return
    try:
        disputes.open(
            payment=payment,
            kind=DisputeKind.CHARGEBACK,
            amount=one.amount,
            reason=_("Чарджбэк из реестра шлюза: срок и причину уточните у него"),
            respond_by=clock.now() + TO_ANSWER,
            gateway_id=number,
            actor=actor,
        )
    except Refused:
        return
