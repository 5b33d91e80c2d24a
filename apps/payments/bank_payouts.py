"""Refunds by bank details: details are taken, orders exported to the bank, and paid when its statement says so.

Claim and record, as with a gateway: an order is numbered and called exported before the file leaves; the refund is
made only when the statement shows the very order, or a second person says so.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.models import Customer
from apps.core import clock, faults, search, work
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.partners.models import LegalEntity
from apps.payments import bank_details, payout_owner, receipt_lines, refund_recording, timing
from apps.payments.bank_payout_models import BankPayout, PayoutState
from apps.payments.payment_orders import PURPOSE_LENGTH, Order, Payer, file
from apps.policies import numbering

KIND, WORK = "payments.BankPayout", "payments.refund"
CANCELLED = "payout_cancelled"
"""Why a refund failed whose payment order staff took back."""
FAULT_POINTS = ("payments.payout-exported", "payments.payout-paid")
"""Boundaries before the commits of `export` and `paid`: a crash there leaves nothing done."""
LINK_DAYS = 14
CUSTOMER = "customer"
"""Who gave the details where the customer did, by the link."""


def order_outside(
    refund_id: UUID,
    *,
    customer: Customer,
    legal_entity_id: int | None,
    amount: Money,
    purpose: str,
    reason: str,
    due_date: date | None,
) -> BankPayout:
    """The payment order of money that came past the gateways, in its owner's transaction: details are asked for.

    It has the id of what it is of, so that there is one. Raises IntegrityError for a second.
    """
    made = BankPayout(
        id=refund_id,
        customer=customer,
        legal_entity_id=legal_entity_id,
        amount=amount.amount,
        currency=amount.currency,
        purpose=purpose[:PURPOSE_LENGTH],
        reason=reason[:200],
        due_date=due_date,
        created_at=clock.now(),
    )
    made.save(force_insert=True)
    told = str(_("Нужны реквизиты, чтобы вернуть %s переводом")) % made.money
    work.open(_kind(made), refund_id, told, deadline_at=timing.deadline(due_date))
    return made


def set_details(payout_id: UUID, given: Mapping[str, Any], *, actor: str) -> BankPayout:
    """Whom to pay, checked by check digits. Raises ValidationError by field; Refused once the order has left."""
    found = bank_details.checked(given)
    with transaction.atomic():
        payout = _locked(payout_id)
        if payout.state not in {PayoutState.WAITING, PayoutState.READY}:
            raise Refused("payout_left", _("Поручение уже в банке: реквизиты не изменить"))
        payout.details, payout.details_by, payout.details_at = found, actor[:150], clock.now()
        payout.link_hash, payout.link_until = "", None
        if payout.state == PayoutState.WAITING:
            payout.move(PayoutState.READY)
        payout.save()
        told = str(_("Выгрузите платёжное поручение на %s")) % payout.money
        work.open(_kind(payout), payout.of, told, deadline_at=timing.deadline(payout.term))
        _note("payout.details", payout, actor, to=payout.masked)
    return payout


def make_link(payout_id: UUID, *, actor: str) -> str:
    """An address at which the customer gives the details, once, within two weeks. A new one ends the old one."""
    token = secrets.token_urlsafe(24)
    with transaction.atomic():
        payout = _locked(payout_id)
        if payout.state != PayoutState.WAITING:
            raise Refused("payout_has_details", _("Реквизиты уже есть: ссылка не нужна"))
        payout.link_hash, payout.link_until = _digest(token), clock.now() + timedelta(days=LINK_DAYS)
        payout.save(update_fields=["link_hash", "link_until"])
        _note("payout.link", payout, actor)
    return current_partner().url(f"/payout/{token}/")


def of_link(token: str) -> BankPayout | None:
    """The payout whose customer may give the details by this link now."""
    found = BankPayout.objects.select_related("refund__payment").filter(
        link_hash=_digest(token), state=PayoutState.WAITING, link_until__gt=clock.now()
    )
    return found.first()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def export(payout_ids: Iterable[UUID], *, actor: str) -> bytes:
    """The payment orders of payouts as one file for the bank; those exported before go as they were, under their
    numbers. Raises Refused: `payout_not_ready`, `payouts_of_many` payers, `no_account` of the payer.
    """
    with transaction.atomic():
        payouts = [_locked(key) for key in _in_order(payout_ids)]
        if not payouts or any(one.state not in {PayoutState.READY, PayoutState.EXPORTED} for one in payouts):
            raise Refused("payout_not_ready", _("Выгружают то, у чего есть реквизиты и что ещё не выплачено"))
        payer = _payer(payouts)
        for one in payouts:
            if one.state == PayoutState.READY:
                _leave(one, payer, actor)
        faults.at("payments.payout-exported")
    # Of the last of them: taken again, it is the same file, which the bank knows.
    made_at = max(one.exported_at for one in payouts if one.exported_at)
    return file(payer, map(_order, payouts), made_at=clock.local(made_at))


def _payer(payouts: list[BankPayout]) -> Payer:
    entities = {one.legal_entity_id for one in payouts}
    if len(entities) > 1:
        raise Refused("payouts_of_many", _("Выберите выплаты одного юридического лица"))
    entity = LegalEntity.objects.filter(pk__in=[one for one in entities if one]).first()
    if entity is None or not (entity.account and entity.bik):
        raise Refused("no_account", _("У «%s» не указаны расчётный счёт и БИК") % (entity or "—"))
    names = ("name", "inn", "kpp", "account", "bank", "bik", "bank_account")
    return Payer(**{name: getattr(entity, name) for name in names})


def _leave(payout: BankPayout, payer: Payer, actor: str) -> None:
    payout.number, payout.order_date = _next_number(payout.legal_entity_id), clock.today()
    payout.move(PayoutState.EXPORTED)
    payout.exported_at, payout.exported_by = clock.now(), actor[:150]
    payout.save()
    search.index(
        KIND, payout.pk, [key_of(payer.account, payout.number, payout.amount, payout.details["account"])]
    )
    work.close(_kind(payout), payout.of)
    _note("payout.exported", payout, actor, number=str(payout.number))


def _next_number(entity_id: int | None) -> int:
    """Of the payer's account, over all partners; an order that the bank returned keeps its number to itself."""
    year = clock.today().year
    mine = BankPayout.objects.filter(legal_entity=entity_id, order_date__year=year)
    # Partners numbered their own once: none of those comes again.
    used = mine.aggregate(last=Max("number"))["last"] or 0
    number = numbering.allot_to_all("payment_order", legal_entity_id=entity_id, year=year, above=used)
    # A bank takes six digits.
    return (number - 1) % 999_999 + 1


def key_of(payer_account: str, number: int | str, amount: Any, account: str) -> str:
    """What an order is known by on a bank's statement."""
    return f"payout:{payer_account}:{str(number).lstrip('0')}:{amount:.2f}:{account}"


def _order(payout: BankPayout) -> Order:
    if payout.number is None or payout.order_date is None:
        raise ValueError(f"Payout {payout.pk} was not exported")
    return Order(
        number=payout.number,
        day=payout.order_date,
        amount=payout.amount,
        to=payout.details,
        purpose=_purpose(payout),
    )


def _purpose(payout: BankPayout) -> str:
    refund = payout.refund
    if refund is None:
        return payout.purpose
    payment = refund.payment
    day = clock.local(payment.settled_at or payment.created_at).date()
    return purpose(day, payment.gateway_id, receipt_lines.vat_of(payment, refund.money))


def purpose(day: date, number: str, vat: Decimal) -> str:
    """What the payment order of a refund is for: which payment's, and how much VAT is in it, which banks ask for."""
    # Banks read Russian, whoever of the staff speaks what.
    with translation.override("ru"):
        tax = _("В том числе НДС {sum} руб.").format(sum=vat) if vat else _("НДС не облагается")
        return _("Возврат по обращению клиента, платёж от {day} № {number}. {vat}").format(
            day=f"{day:%d.%m.%Y}", number=number, vat=tax
        )


def paid(payout_id: UUID, *, actor: str, bank_line: UUID | None = None) -> BankPayout:
    """The bank has carried it out: the refund is made, posted and has its receipt. Once, whoever says it again.

    Without the statement's line a second person says so. Raises Refused: `payout_not_exported`, `own_payout`.
    """
    with transaction.atomic():
        payout = _locked(payout_id)
        if payout.state == PayoutState.PAID:
            return payout
        if payout.state != PayoutState.EXPORTED:
            raise Refused("payout_not_exported", _("Эта выплата ещё не выгружена в банк"))
        if bank_line is None and actor == payout.exported_by:
            raise Refused(
                "own_payout", _("Выплату без выписки отмечает другой сотрудник, не тот, кто выгрузил")
            )
        payout.move(PayoutState.PAID)
        payout.paid_at, payout.paid_by, payout.bank_line = clock.now(), actor[:150], bank_line
        payout.save()
        if payout.refund is not None:
            refund_recording.succeed(payout.refund)
        else:
            payout_owner.owner().paid(payout.of, actor=actor, number=payout.number)
        _note("payout.paid", payout, actor, bank_line=str(bank_line or ""))
        faults.at("payments.payout-paid")
    return payout


def returned(payout_id: UUID, *, actor: str, reason: str) -> BankPayout:
    """The bank did not carry it out: other details are wanted. Raises Refused where it has not left."""
    with transaction.atomic():
        payout = _locked(payout_id)
        if payout.state != PayoutState.EXPORTED:
            raise Refused("payout_not_exported", _("Эта выплата ещё не выгружена в банк"))
        payout.move(PayoutState.WAITING)
        payout.save(update_fields=["state"])
        search.forget(KIND, payout.pk)
        told = str(_("Банк не исполнил выплату, нужны другие реквизиты: %s")) % reason
        work.open(_kind(payout), payout.of, told, deadline_at=timing.deadline(payout.term))
        _note("payout.returned", payout, actor, reason=reason)
    return payout


def cancel(payout_id: UUID, *, actor: str, reason: str) -> BankPayout:
    """It is not paid after all, and its refund has failed. Raises Refused once the order has left."""
    with transaction.atomic():
        payout = _locked(payout_id)
        if payout.state not in {PayoutState.WAITING, PayoutState.READY}:
            raise Refused(
                "payout_left", _("Поручение уже в банке: сначала отметьте, что банк его не исполнил")
            )
        payout.move(PayoutState.CANCELLED)
        payout.save(update_fields=["state"])
        if payout.refund is not None:
            refund_recording.end(payout.refund, CANCELLED)
        else:
            payout_owner.owner().cancelled(payout.of, actor=actor, reason=CANCELLED)
        work.close(_kind(payout), payout.of)
        _note("payout.cancelled", payout, actor, reason=reason)
    return payout


def _in_order(payout_ids: Iterable[UUID]) -> list[UUID]:
    """Balances are locked before payments, and in the order of their customers, as everywhere."""
    rows = BankPayout.objects.filter(pk__in=list(payout_ids))
    return list(rows.order_by(F("customer_id").asc(nulls_last=True), "pk").values_list("pk", flat=True))


def _locked(payout_id: UUID) -> BankPayout:
    """The payment and the refund first, as everywhere."""
    refund_id = BankPayout.objects.values_list("refund_id", flat=True).get(pk=payout_id)
    if refund_id is None:
        payout_owner.owner().lock(payout_id)
        return BankPayout.locked(payout_id)
    [refund] = refund_recording.locked([refund_id])
    payout = BankPayout.locked(payout_id)
    payout.refund = refund
    return payout


def _kind(payout: BankPayout) -> str:
    """Under which its refund stands in the staff's queue."""
    return WORK if payout.refund_id else payout_owner.owner().work


def _note(action: str, payout: BankPayout, actor: str, **more: str) -> None:
    data = {"amount": str(payout.amount), "refund": str(payout.of), **more}
    journal.record(action, KIND, payout.pk, actor=actor, data=data)
