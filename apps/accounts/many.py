"""Customers of another system, found or registered many at once: nobody is welcomed, nothing is told."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.accounts import customers, requisites
from apps.accounts.models import ActSchedule, Company, Customer, Language
from apps.core import bulk, clock, search
from apps.core.errors import Refused
from apps.core.ids import uuid7


@dataclass(frozen=True, slots=True)
class Person:
    """What another system knows of a customer; contacts in the form in which they are stored here."""

    external_id: str = ""
    phone: str = ""
    email: str = ""
    name: str = ""
    language: str = ""
    company: str = ""
    inn: str = ""
    kpp: str = ""
    address: str = ""
    documents_email: str = ""

    @property
    def contacts(self) -> dict[str, str]:
        """What it can be found by."""
        known = {field: getattr(self, field) for field in customers.CONTACTS}
        return {field: value for field, value in known.items() if value}

    @property
    def is_company(self) -> bool:
        """Whether it says to be one."""
        return bool(self.inn or self.company)

    def kept(self) -> dict[str, str]:
        """As JSON, without what is empty."""
        return {key: value for key, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class Match:
    """The customer that a person is here (None: a new one), or why that cannot be said."""

    customer: Customer | None
    conflict: str = ""


def find(people: Sequence[Person]) -> list[Match]:
    """Who of them is a customer already, in their order, in one query; `conflict` where contacts are of several."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for person in people:
        for field, value in person.contacts.items():
            wanted[field].add(value)
    any_of = Q()
    for field, values in wanted.items():
        any_of |= Q(**{f"{field}__in": bulk.these("text", sorted(values))})
    by_contact = {
        (field, getattr(one, field)): one
        for one in (Customer.objects.filter(any_of) if wanted else ())
        for field in customers.CONTACTS
    }
    return [_match(person, by_contact) for person in people]


def _match(person: Person, by_contact: dict[tuple[str, str], Customer]) -> Match:
    found = {by_contact[key].pk: by_contact[key] for key in person.contacts.items() if key in by_contact}
    if not found:
        return Match(None)
    if len(found) > 1:
        return Match(None, str(_("телефон, почта и номер принадлежат разным клиентам")))
    [one] = found.values()
    # The other system's id names a person: a different one is a different customer, whatever the phone.
    if one.external_id and person.external_id and one.external_id != person.external_id:
        return Match(None, str(_("контакт принадлежит клиенту с другим номером у партнёра")))
    return Match(one)


def register(people: Sequence[Person]) -> list[UUID | str]:
    """The id of each, in order: found, or written by COPY; a text says why somebody cannot be either.

    In the caller's transaction. Two people with the same contact are one. IntegrityError where somebody else
    registers one of them meanwhile.
    """
    made: dict[tuple[str, str], UUID] = {}
    fresh: dict[UUID, Person] = {}
    answers: list[UUID | str] = []
    for person, match in zip(people, find(people), strict=True):
        if match.conflict or match.customer is not None:
            answers.append(match.conflict or _completed(match.customer, person))
            continue
        earlier = {made[key] for key in person.contacts.items() if key in made}
        key = next(iter(earlier), None) or uuid7()
        merged = _merged(fresh.get(key), person) if len(earlier) < 2 else None
        if merged is None:
            answers.append(str(_("телефон, почта и номер принадлежат разным клиентам")))
            continue
        fresh[key] = merged
        made.update(dict.fromkeys(person.contacts.items(), key))
        answers.append(key)
    _write(list(fresh.items()))
    _write_companies(people, answers)
    return answers


def _merged(one: Person | None, other: Person) -> Person | None:
    """Two rows of one person: what the first lacks is the second's. None where their ids differ."""
    if one is None:
        return other
    if one.external_id and other.external_id and one.external_id != other.external_id:
        return None
    lacking = {key: value for key, value in other.kept().items() if not getattr(one, key)}
    return replace(one, **lacking)


def _completed(customer: Customer | None, person: Person) -> UUID | str:
    """A customer who is here: what they lack is filled in, as the other system's contacts belong together."""
    if customer is None:
        raise ValueError("Nobody was found")
    lacking = [field for field, value in person.contacts.items() if not getattr(customer, field)]
    if not lacking and (customer.name or not person.name):
        return customer.pk
    try:
        return customers.register(**person.contacts, name=person.name, verified=True).pk
    except Refused as refused:
        return str(refused.message)


def _write(fresh: Sequence[tuple[UUID, Person]]) -> None:
    now = clock.now()
    languages = set(Language.values)
    bulk.copy(
        Customer,
        ["id", "phone", "email", "external_id", "name", "language", "created_at"],
        [
            (
                key,
                one.phone,
                one.email,
                one.external_id,
                one.name[:200],
                one.language if one.language in languages else Language.RUSSIAN.value,
                now,
            )
            for key, one in fresh
        ],
    )
    found_by = [(key, value) for key, one in fresh for value in one.contacts.values()]
    search.index_new(
        customers.KIND, list({(key, search.normalised(v)): (key, v) for key, v in found_by}.values())
    )


def _write_companies(people: Sequence[Person], answers: Sequence[UUID | str]) -> None:
    asked = {
        key: person
        for key, person in zip(answers, people, strict=True)
        if isinstance(key, UUID) and person.is_company
    }
    there = Company.objects.filter(customer__in=bulk.these("uuid", asked)).values_list(
        "customer_id", flat=True
    )
    for key in set(there):
        del asked[key]
    fields = [
        "customer",
        "name",
        "inn",
        "kpp",
        "address",
        "documents_email",
        "pay_days",
        "days_ahead",
        "acts",
    ]
    rows: list[tuple[Any, ...]] = [
        (
            key,
            one.company[:200],
            one.inn,
            one.kpp,
            one.address[:300],
            one.documents_email,
            Company._meta.get_field("pay_days").default,
            Company._meta.get_field("days_ahead").default,
            ActSchedule.PERIOD.value,
        )
        for key, one in asked.items()
    ]
    bulk.copy(Company, fields, rows)


def company_problem(person: Person) -> str:
    """What is wrong with the requisites, in words; "" where they will do."""
    if not requisites.is_inn(person.inn):
        return str(_("ИНН «%s»: контрольная цифра не сошлась")) % person.inn
    if len(person.inn) == 10 and not requisites.is_kpp(person.kpp):
        return str(_("КПП «%s»: нужно 9 знаков")) % person.kpp
    if len(person.inn) == 12 and person.kpp:
        return str(_("у предпринимателя нет КПП"))
    if not (person.company and person.address and person.documents_email):
        return str(_("нужны название, адрес и почта для документов"))
    return ""
