"""A customer's phone or e-mail is changed by a code sent to the new one, and a code sent to one they have already.

Staff change it for who has lost the old one: with a code to the new one, a reason, and their password once more.
Everything here goes by the wall clock.
"""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

from apps import notifications
from apps.accounts import contacts, customers
from apps.accounts.models import Customer, SignInCode
from apps.core import clock, throttle
from apps.core.errors import Refused

CODE = timedelta(minutes=10)
ATTEMPTS = 5
BY_CUSTOMER = throttle.Limit("accounts.change", 5, timedelta(hours=1))
BY_CONTACT = throttle.Limit("accounts.change.to", 5, timedelta(hours=1))
TOO_MANY = _("Слишком много кодов подряд. Попробуйте через %(minutes)d мин.")
NEW, OLD = "new", "old"


def begin(customer: Customer, contact: str, *, proof: str = "") -> str:
    """Sends both codes; gives the contact, masked, that proves who asks. `proof`: "phone" or "email"; "": of the kind
    that is changed where there is one. Raises Refused: `bad_contact`, `bad_phone`, `bad_email`, `same_contact`,
    `no_old_contact`, `too_many_codes`."""
    field, value = _wanted(customer, contact)
    known = {one: getattr(customer, one) for one in ("phone", "email") if getattr(customer, one)}
    old = known.get(proof or field) or next(iter(known.values()), "")
    if not old:
        raise Refused("no_old_contact", _("Подтвердить нечем: обратитесь в поддержку"))
    _count(customer, value)
    with transaction.atomic():
        _send(customer, NEW, value, value)
        _send(customer, OLD, value, old)
    return contacts.masked(old)


def finish(
    customer: Customer, contact: str, *, new_code: str, old_code: str, actor: str = "customer"
) -> Customer:
    """Changes it. Call it outside a transaction: a wrong try has to be kept. Raises Refused: `wrong_code`, and as
    `customers.move_contact`."""
    field, value = _wanted(customer, contact)
    with transaction.atomic(durable=True):
        # Both are counted, so that none is guessed behind the other.
        right = [_is_right(customer, NEW, value, new_code), _is_right(customer, OLD, value, old_code)]
        if all(right):
            _use_up(customer, value)
            return customers.move_contact(customer, field, value, actor=actor)
    raise _wrong_code()


def begin_removal(customer: Customer, field: str) -> str:
    """Sends a code to the phone or e-mail (`field`) that is to go; gives it, masked. Raises Refused:
    `no_old_contact`, `too_many_codes`."""
    old: str = getattr(customer, field)
    if not old:
        raise Refused("no_old_contact", _("Подтвердить нечем: обратитесь в поддержку"))
    _count(customer, old)
    with transaction.atomic():
        _send(customer, OLD, f"-{old}", old, shown="—")
    return contacts.masked(old)


def finish_removal(customer: Customer, field: str, *, old_code: str, actor: str) -> Customer:
    """Takes it off. Outside a transaction. Raises Refused: `wrong_code`, and as `customers.update`."""
    value = f"-{getattr(customer, field)}"
    with transaction.atomic(durable=True):
        if _is_right(customer, OLD, value, old_code):
            _use_up(customer, value)
            return customers.update(customer, actor=actor, **{field: ""})
    raise _wrong_code()


def to_be_proved(customer: Customer, changes: Mapping[str, Any]) -> dict[str, str]:
    """Phone and e-mail of these changes that are others than now. None of them, where the customer has neither: who is
    known by the partner's own id alone is who the partner says."""
    if not (customer.phone or customer.email):
        return {}
    known = {field: str(changes[field]) for field in ("phone", "email") if field in changes}
    given = {field: getattr(contacts, field)(value) for field, value in known.items()}
    return {field: value for field, value in given.items() if value != getattr(customer, field)}


def begin_by_staff(customer: Customer, contact: str) -> None:
    """Sends a code to the new contact only. Raises Refused as `begin`."""
    _field, value = _wanted(customer, contact)
    _count(customer, value)
    with transaction.atomic():
        _send(customer, NEW, value, value)


def finish_by_staff(customer: Customer, contact: str, *, code: str, reason: str, actor: str) -> Customer:
    """Changes it for who has lost the old one; staff have just signed in once more. Outside a transaction.

    Raises Refused: `wrong_code`, `no_reason`, and as `customers.move_contact`.
    """
    if not reason.strip():
        raise Refused("no_reason", _("Напишите причину"), status=400)
    field, value = _wanted(customer, contact)
    with transaction.atomic(durable=True):
        if _is_right(customer, NEW, value, code):
            _use_up(customer, value)
            return customers.move_contact(
                customer,
                field,
                value,
                actor=actor,
                reason=reason.strip()[:200],
                tells=_("сотрудник поддержки"),
            )
    raise _wrong_code()


def _wanted(customer: Customer, contact: str) -> tuple[str, str]:
    phone, email = contacts.either(contact)
    field, value = ("phone", phone) if phone else ("email", email)
    if getattr(customer, field) == value:
        raise Refused("same_contact", _("Это и есть нынешний контакт"), status=400)
    return field, value


def _count(customer: Customer, value: str) -> None:
    throttle.take(
        [(BY_CUSTOMER, str(customer.pk)), (BY_CONTACT, value)], code="too_many_codes", message=TOO_MANY
    )


def _send(customer: Customer, which: str, value: str, to: str, *, shown: str = "") -> None:
    now, code = clock.wall(), f"{secrets.randbelow(1_000_000):06d}"
    sent = SignInCode(contact_digest=_digest(customer, which, value), created_at=now, expires_at=now + CODE)
    sent.code_hash = _hash(sent, code)
    sent.save()
    notifications.send(
        "contact_code",
        to_phone="" if "@" in to else to,
        to_email=to if "@" in to else "",
        customer_id=customer.pk,
        language=customer.language,
        context={
            "code": code,
            "contact": shown or contacts.masked(value),
            "minutes": int(CODE.total_seconds() // 60),
        },
        key=f"contact_code:{sent.pk}",
        expires_at=sent.expires_at,
    )


def _is_right(customer: Customer, which: str, value: str, code: str) -> bool:
    mine = SignInCode.objects.select_for_update().filter(
        contact_digest=_digest(customer, which, value), used_at=None, expires_at__gt=clock.wall()
    )
    sent = mine.order_by("-created_at").first()
    if sent is None or sent.attempts >= ATTEMPTS:
        return False
    sent.attempts += 1
    is_right = constant_time_compare(sent.code_hash, _hash(sent, "".join(code.split())))
    sent.save(update_fields=["attempts"])
    return is_right


def _use_up(customer: Customer, value: str) -> None:
    digests = [_digest(customer, which, value) for which in (NEW, OLD)]
    SignInCode.objects.filter(contact_digest__in=digests).update(used_at=clock.wall())


def _digest(customer: Customer, which: str, value: str) -> str:
    text = f"{customer.pk}:{which}:{value}"
    return salted_hmac("accounts.change", text, algorithm="sha256").hexdigest()


def _hash(sent: SignInCode, code: str) -> str:
    return salted_hmac(f"accounts.change:{sent.pk}", code, algorithm="sha256").hexdigest()


def _wrong_code() -> Refused:
    return Refused("wrong_code", _("Код не подошёл: проверьте его или запросите новый"), status=400)
