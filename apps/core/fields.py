"""Model fields shared by all apps: text in two languages, encrypted text and references across schemas."""

import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _


class Translated(dict[str, str]):
    """`{"ru": …, "en": …}` that prints itself in the active language, Russian where there is no other."""

    def __str__(self) -> str:
        language = (get_language() or "ru")[:2]
        return self.get(language) or self.get("ru") or ""


class TranslatedField(models.JSONField):
    """Text in Russian and English. Accepts a plain string as Russian."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("default", Translated)
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        if options.get("default") is Translated:
            del options["default"]
        return name, path, args, options

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Translated:
        return Translated(super().from_db_value(value, expression, connection) or {})

    def to_python(self, value: Any) -> Translated:
        if isinstance(value, str):
            return Translated(ru=value)
        return Translated(value or {})

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(dict(self.to_python(value)))

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        if not isinstance(value, dict) or set(value) - {"ru", "en"}:
            raise ValidationError(_("Нужен текст на русском и английском: ru и en"))
        if not self.blank and not value.get("ru"):
            raise ValidationError(_("Заполните русский текст"))

    def formfield(self, **options: Any) -> Any:
        from apps.core.forms import TranslatedFormField

        return models.Field.formfield(self, form_class=TranslatedFormField, **options)


@cache
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """Encrypts with the newest of settings.ENCRYPTION_KEYS."""
    return _cipher(tuple(settings.ENCRYPTION_KEYS)).encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Reads what any of settings.ENCRYPTION_KEYS wrote. Raises ValueError for anything else."""
    try:
        return _cipher(tuple(settings.ENCRYPTION_KEYS)).decrypt(token.encode()).decode()
    except InvalidToken:
        raise ValueError("Written with a key that is not in ARMOR_ENCRYPTION_KEYS") from None


class EncryptedField(models.TextField):
    """Text that is encrypted at rest; it cannot be searched or sorted by."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypt(value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return encrypt(value) if value else value


class EncryptedJSONField(EncryptedField):
    """A JSON object, encrypted at rest."""

    # What mypy's Django plugin takes for the type of the attribute: not the text that is stored.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return json.loads(decrypt(value)) if value else {}

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value or {}

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(json.dumps(value or {}, ensure_ascii=False))


class PublicReference(models.ForeignKey):
    """A reference from a partner's row to a public one: no constraint, no triggers, no way back.

    A real foreign key would put two triggers per partner on the public table. Public rows are archived, never
    deleted, and the auditor looks for dangling references.
    """

    def __init__(self, to: Any, on_delete: Any = models.DO_NOTHING, **options: Any) -> None:
        options["db_constraint"] = False
        options["related_name"] = "+"
        options.setdefault("db_index", False)
        super().__init__(to, on_delete=models.DO_NOTHING, **options)
