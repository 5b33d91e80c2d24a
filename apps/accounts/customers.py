"""Customers are found or registered by what is known of them, changed, and erased."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps import journal, notifications
from apps.accounts import contacts, recycled
from apps.accounts.models import Company, Customer, CustomerSession, Language
from apps.core import bulk, clock, events, gather, search
from apps.core.errors import Refused
from apps.core.ids import uuid7

KIND = "accounts.Customer"
ATTEMPTS = 5
CONTACTS = ("phone", "email", "external_id")


def register(
    *,
    phone: str = "",
    email: str = "",
    external_id: str = "",
    name: str = "",
    language: str = Language.RUSSIAN,
    verified: bool = False,
) -> Customer:
    """The customer with any of these contacts, or a new one: `find_or_register` without saying which."""
    return find_or_register(
        phone=phone, email=email, external_id=external_id, name=name, language=language, verified=verified
    )[0]


def find_or_register(
    *,
    phone: str = "",
    email: str = "",
    external_id: str = "",
    name: str = "",
    language: str = Language.RUSSIAN,
    verified: bool = False,
) -> tuple[Customer, bool]:
    """The customer with any of these contacts, or a new one; and whether it is new.

    `verified` says that the contacts are known to belong together (the partner's system, staff): what the
    customer lacks is then filled in. A visitor who merely typed them does not change a customer who exists:
    else anybody could add a phone to a stranger's e-mail and sign in as that stranger.
    Raises Refused: `customer_conflict` where they belong to different customers, `no_contact`, `bad_phone`,
    `bad_email`.
    """
    known = _known(phone=phone, email=email, external_id=external_id)
    for _attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                customer = _find(known)
                if customer is not None and _is_anothers_by_now(customer, known):
                    known, customer = _without_phone(customer, known, verified=verified), None
                if customer is None:
                    return _create(known, name=name, language=language), True
                return (_complete(customer, known, name) if verified else customer), False
        except IntegrityError:
            # Another purchase registered one of these contacts between the look-up and the insert.
            continue
    raise _conflict()


def find_or_register_many(people: Sequence[Mapping[str, str]]) -> list[Customer]:
    """`find_or_register` of many whose contacts are known to belong together, in a batch (`gather`); in their order.

    Those who are known are locked in the order of their ids. Raises gather.Apart where one of them has to be looked
    at by itself: known by another contact, to be completed, there twice; Refused: `no_contact`, `bad_phone`,
    `bad_email`. IntegrityError at the end of the batch where somebody else was faster.
    """
    given = [{field: one.get(field, "") for field in CONTACTS} for one in people]
    known = [_known(**one) for one in given]
    wanted = {field: {one[field] for one in known if field in one} for field in CONTACTS}
    if sum(map(len, wanted.values())) < sum(map(len, known)):
        raise gather.Apart("Somebody is there twice")
    any_of = Q()
    for field, values in wanted.items():
        if values:
            any_of |= Q(**{f"{field}__in": bulk.these("text", values)})
    rows = list(Customer.objects.select_for_update().filter(any_of).order_by("pk"))
    held = {(field, value): row for row in rows for field in CONTACTS if (value := getattr(row, field))}
    return [
        _held_or_new(contact, held, one.get("name", ""), one.get("language", Language.RUSSIAN))
        for contact, one in zip(known, people, strict=True)
    ]


def _held_or_new(
    known: dict[str, str], held: Mapping[tuple[str, str], Customer], name: str, language: str
) -> Customer:
    found = [held.get(contact) for contact in known.items()]
    if not any(found):
        return _create(known, name=name, language=language)
    first = found[0]
    if first is None or any(one is not first for one in found) or (name.strip() and not first.name):
        raise gather.Apart("Somebody is known by another contact, or to be completed")
    if _is_anothers_by_now(first, known):
        raise gather.Apart("A phone that may be somebody else's by now")
    return first


def update(customer: Customer, *, actor: str, **changes: Any) -> Customer:
    """Changes phone, email, external_id, name or language ("" removes), wants_documents (bool).

    Raises Refused as `register`.
    """
    if unknown := set(changes) - {*CONTACTS, "name", "language", "wants_documents"}:
        raise ValueError(f"A customer has no {', '.join(sorted(unknown))}")
    for field in ("phone", "email"):
        if field in changes:
            changes[field] = getattr(contacts, field)(changes[field])
    try:
        with transaction.atomic():
            customer = locked(customer)
            for field in ("phone", "email"):
                if field in changes and changes[field] != getattr(customer, field):
                    _tell_old(customer, field, changes[field], _("партнёр"))
            if changes.get("phone") and changes["phone"] != customer.phone:
                # By the word of the partner's own system, which knows its customers.
                _has_phone_again(customer)
            if any(
                field in changes and changes[field] != getattr(customer, field)
                for field in ("phone", "email")
            ):
                CustomerSession.objects.filter(customer=customer).delete()
            for field, value in changes.items():
                setattr(customer, field, value.strip() if isinstance(value, str) else value)
            if not any(getattr(customer, field) for field in CONTACTS):
                raise _no_contact()
            _save(customer)
            journal.record(
                "customer.changed", KIND, customer.pk, actor=actor, data={"fields": sorted(changes)}
            )
    except IntegrityError:
        raise _conflict() from None
    return customer


def erase(customer: Customer, *, actor: str = "") -> Customer:
    """Removes personal data for good: contacts, name, sign-ins, texts of messages. Money documents stay."""
    with transaction.atomic():
        customer = locked(customer, or_erased=True)
        if customer.erased_at:
            return customer
        for field in (*CONTACTS, "name", "former_phone"):
            setattr(customer, field, "")
        customer.phone_proved_at = None
        customer.erased_at = clock.now()
        customer.save()
        CustomerSession.objects.filter(customer=customer).delete()
        # What was issued to it keeps its requisites, as the law wants; nothing new is issued.
        Company.objects.filter(customer=customer).delete()
        search.forget(KIND, customer.pk)
        notifications.forget(customer.pk)
        events.publish("accounts.CustomerErased", customer.pk)
        journal.record("customer.erased", KIND, customer.pk, actor=actor)
    return customer


def _known(*, phone: str, email: str, external_id: str) -> dict[str, str]:
    given = {
        "phone": contacts.phone(phone),
        "email": contacts.email(email),
        "external_id": external_id.strip(),
    }
    known = {field: value for field, value in given.items() if value}
    if not known:
        raise _no_contact()
    return known


def _find(known: dict[str, str]) -> Customer | None:
    any_of = Q()
    for field, value in known.items():
        any_of |= Q(**{field: value})
    found = list(Customer.objects.select_for_update().filter(any_of).order_by("pk")[:2])
    if len(found) > 1 or (found and _is_somebody_else(found[0], known)):
        raise _conflict()
    return found[0] if found else None


def _is_anothers_by_now(customer: Customer, known: dict[str, str]) -> bool:
    """Found by nothing but a phone that may have been given to somebody else since."""
    if customer.phone != known.get("phone") or not recycled.is_stale(customer):
        return False
    return not any(
        known.get(field) == getattr(customer, field) for field in ("email", "external_id") if known.get(field)
    )


def _without_phone(customer: Customer, known: dict[str, str], *, verified: bool) -> dict[str, str]:
    """What a new customer is registered by. Who is vouched for takes the number; who typed it has to prove it first:
    else anybody could take a number from its owner by typing it. Raises Refused `phone_unproved`."""
    if verified:
        recycled.release(customer.phone, actor="", reason="stale")
        return known
    others = {field: value for field, value in known.items() if field != "phone"}
    if not others:
        raise Refused(
            "phone_unproved",
            _("Этот номер давно не подтверждали. Войдите по коду из СМС или укажите почту"),
        )
    return others


def with_phone(phone: str, *, language: str = Language.RUSSIAN) -> Customer:
    """Who has just proven a phone that was not theirs till now: a new customer, and the former one's no more."""
    with transaction.atomic():
        recycled.release(phone, actor="customer", reason="stale")
        return _create({"phone": phone}, name="", language=language)


def move_contact(
    customer: Customer, field: str, value: str, *, actor: str, reason: str = "", tells: Any = ""
) -> Customer:
    """Gives a customer a phone or e-mail that was proven theirs; signed-in browsers are signed out.

    A phone is taken from whoever had it: the last proof holds. `tells`: who changes it, for the notice to the old
    contact; "" where that was asked for a proof itself. Raises Refused: `customer_conflict` for an e-mail that
    is another's, `customer_erased`.
    """
    try:
        with transaction.atomic():
            customer = locked(customer)
            if tells:
                _tell_old(customer, field, value, tells)
            if field == "phone":
                if customer.phone != value:
                    recycled.release(value, actor=actor, reason="proven")
                _has_phone_again(customer)
            setattr(customer, field, value)
            _save(customer)
            CustomerSession.objects.filter(customer=customer).delete()
            data = {"fields": [field], "reason": reason} if reason else {"fields": [field]}
            journal.record("customer.contact-moved", KIND, customer.pk, actor=actor, data=data)
    except IntegrityError:
        raise _conflict() from None
    return customer


def _has_phone_again(customer: Customer) -> None:
    if customer.former_phone:
        events.publish("accounts.PhoneProved", customer.pk)
    customer.phone_proved_at, customer.former_phone = clock.wall(), ""


def _tell_old(customer: Customer, field: str, value: str, who: Any) -> None:
    """Says to the contact that they had that it is another now, and by whom; by the other one where there was none, or
    where the number may be a stranger's."""
    known = {"phone": "" if recycled.is_stale(customer) else customer.phone, "email": customer.email}
    to = known[field] or known["email" if field == "phone" else "phone"]
    if not to:
        return
    with translation.override(customer.language):
        said = {"who": str(who), "contact": contacts.masked(value)}
    notifications.send(
        "contact_changed",
        to_phone="" if "@" in to else to,
        to_email=to if "@" in to else "",
        customer_id=customer.pk,
        language=customer.language,
        context=said,
        key=f"contact_changed:{customer.pk}:{uuid7()}",
    )


def _is_somebody_else(customer: Customer, known: dict[str, str]) -> bool:
    """The partner's own id names a person: a different one is a different customer, whatever the phone."""
    return bool(
        customer.external_id and known.get("external_id", customer.external_id) != customer.external_id
    )


def _complete(customer: Customer, known: dict[str, str], name: str) -> Customer:
    """Fills in what is missing, under the lock of `_find`. IntegrityError: somebody was faster."""
    missing = {
        field: value
        for field, value in {**known, "name": name.strip()}.items()
        if value and not getattr(customer, field)
    }
    if missing:
        for field, value in missing.items():
            setattr(customer, field, value)
        _save(customer)
    return customer


def _create(known: dict[str, str], *, name: str, language: str) -> Customer:
    language = language if language in Language.values else Language.RUSSIAN
    proved_at = clock.wall() if known.get("phone") else None
    customer = Customer(
        **known, name=name.strip(), language=language, created_at=clock.now(), phone_proved_at=proved_at
    )
    gather.insert(customer)
    _index(customer)
    events.publish("accounts.CustomerRegistered", customer.pk)
    return customer


def _save(customer: Customer) -> None:
    customer.save()
    search.forget(KIND, customer.pk)
    _index(customer)


def _index(customer: Customer) -> None:
    search.index(KIND, customer.pk, [value for field in CONTACTS if (value := getattr(customer, field))])


def locked(customer: Customer, *, or_erased: bool = False) -> Customer:
    """The customer as it stands now, locked. Raises Refused `customer_erased`."""
    customer = Customer.objects.select_for_update().get(pk=customer.pk)
    if customer.erased_at and not or_erased:
        raise Refused("customer_erased", _("Данные этого клиента стёрты"))
    return customer


def _no_contact() -> Refused:
    return Refused("no_contact", _("Нужен телефон, почта или номер клиента у партнёра"), status=400)


def _conflict() -> Refused:
    return Refused(
        "customer_conflict",
        _("Эти телефон, почта или номер принадлежат разным клиентам: укажите что-то одно"),
    )
