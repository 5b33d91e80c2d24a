"""Customers that are companies: their requisites are checked, kept, and put into documents."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts import contacts, requisites
from apps.accounts.customers import KIND, locked
from apps.accounts.models import ActSchedule, Company, Customer
from apps.core.errors import Refused

FIELDS = ("name", "inn", "kpp", "address", "documents_email", "pay_days", "days_ahead", "acts")
LONGEST = 90
"""Days: the longest term of payment, and the earliest invoice ahead."""


def set_company(customer: Customer, *, actor: str, **given: Any) -> Company:
    """Makes a customer a company, or changes its requisites; what is not given stays. Documents issued stay too.

    Raises Refused `bad_company` (400) with the reason of each field in `fields`, `customer_erased`.
    """
    if unknown := set(given) - set(FIELDS):
        raise ValueError(f"A company has no {', '.join(sorted(unknown))}")
    with transaction.atomic():
        customer = locked(customer)
        company = Company.objects.filter(customer=customer).first() or Company(customer=customer)
        is_new = company._state.adding
        for field, value in given.items():
            setattr(company, field, value.strip() if isinstance(value, str) else value)
        if wrong := problems(company):
            told = "; ".join(str(reason) for reason in wrong.values())
            raise Refused("bad_company", told, status=400, fields={k: str(v) for k, v in wrong.items()})
        company.documents_email = contacts.email(company.documents_email)
        company.save()
        journal.record(
            "customer.company",
            KIND,
            customer.pk,
            actor=actor,
            data={"fields": sorted(given), "new": is_new},
        )
    return company


def problems(company: Company) -> dict[str, Any]:
    """What is wrong with the requisites, by field, in words for people."""
    wrong: dict[str, Any] = {}
    if not company.name:
        wrong["name"] = _("Укажите юридическое название")
    if not requisites.is_inn(company.inn):
        wrong["inn"] = _("ИНН: 10 цифр у организации, 12 у предпринимателя; контрольная цифра не сошлась")
    elif len(company.inn) == 10 and not requisites.is_kpp(company.kpp):
        wrong["kpp"] = _("КПП: 9 знаков, у организации он обязателен")
    elif len(company.inn) == 12 and company.kpp:
        wrong["kpp"] = _("У предпринимателя нет КПП: оставьте поле пустым")
    if not company.address:
        wrong["address"] = _("Укажите юридический адрес")
    if not company.documents_email or "@" not in company.documents_email:
        wrong["documents_email"] = _("Укажите почту, на которую отправлять документы")
    for field in ("pay_days", "days_ahead"):
        if not 0 <= getattr(company, field) <= LONGEST:
            wrong[field] = _("От 0 до %d дней") % LONGEST
    if company.acts not in ActSchedule.values:
        wrong["acts"] = _("Акты: period или month")
    return wrong


def of(customer_id: Any) -> Company | None:
    """The company that a customer is, if it is one."""
    return Company.objects.filter(customer=customer_id).first()
