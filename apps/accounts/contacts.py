"""Phones and e-mails in the one form in which they are stored, compared and searched."""

import phonenumbers
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from apps.core.errors import Refused

REGION = "RU"
EMAIL_LENGTH = 254


def phone(text: str) -> str:
    """E.164 (`8 916 123-45-67` → `+79161234567`); "" for an empty text. Raises Refused `bad_phone`."""
    text = text.strip()
    if not text:
        return ""
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise Refused("bad_phone", _("Проверьте номер телефона: такого номера не бывает"), status=400)
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def email(text: str) -> str:
    """Lower case, the domain in ASCII; "" for an empty text. Raises Refused `bad_email`."""
    text = text.strip().lower()
    if not text:
        return ""
    try:
        name, _at, domain = text.rpartition("@")
        text = f"{name}@{domain.encode('idna').decode()}"
        validate_email(text)
    except (ValidationError, UnicodeError):
        text = ""
    if not text or len(text) > EMAIL_LENGTH or not text.isascii():
        raise Refused("bad_email", _("Проверьте адрес почты: в нём ошибка"), status=400)
    return text


def either(text: str) -> tuple[str, str]:
    """(phone, email) of one box that takes both; one of the two is empty. Raises Refused as they do."""
    if "@" in text:
        return "", email(text)
    if not text.strip():
        raise Refused("bad_contact", _("Введите телефон или почту"), status=400)
    return phone(text), ""


def masked(contact: str) -> str:
    """What may be shown of a contact: `+7 *** 45-67`, `a***@example.ru`."""
    if "@" in contact:
        name, _at, domain = contact.partition("@")
        return f"{name[:1]}***@{domain}"
    return f"{contact[:2]} *** {contact[-4:-2]}-{contact[-2:]}" if contact else ""
