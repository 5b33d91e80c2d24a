"""The form of a connection, made from its connector's Config. A secret goes in and is never shown again."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, cast, get_type_hints

from django import forms
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.connectors import secrets
from apps.connectors.base import Connector
from apps.connectors.models import Connection

PREFIX = "config_"
_BOXES: dict[type, tuple[type[forms.Field], type[forms.Widget]]] = {
    str: (forms.CharField, UnfoldAdminTextInputWidget),
    int: (forms.IntegerField, UnfoldAdminIntegerFieldWidget),
    bool: (forms.BooleanField, UnfoldBooleanSwitchWidget),
}


class ConnectionForm(forms.ModelForm):
    """Ours and the connector's fields together."""

    connector_class: type[Connector]
    connector_path = ""
    refused = ""
    """Why the service does not take what was filled in, where it was asked."""

    class Meta:
        model = Connection
        fields = ["name", "legal_entity", "partner", "is_test", "is_enabled", "in_flight", "per_second"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        stored = self.instance.config if self.instance.pk else {}
        for item in fields(self.connector_class.Config):
            box = self.fields[PREFIX + item.name]
            if item.metadata.get("secret"):
                if stored.get(item.name):
                    box.required = False
                    box.help_text = _stored(stored, item.name)
            elif item.name in stored:
                box.initial = stored[item.name]

    def clean(self) -> dict[str, Any] | None:
        if self.refused:
            raise forms.ValidationError(self.refused)
        cleaned = super().clean()
        if not self.errors:
            for name, why in self.connector_class.wrong(self._given()).items():
                self.add_error(PREFIX + name, why)
        return cleaned

    def _given(self) -> dict[str, Any]:
        return {
            item.name: self.cleaned_data.get(PREFIX + item.name)
            for item in fields(self.connector_class.Config)
        }

    def settings_over(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """What was filled in over stored settings; an empty box of a secret leaves the stored one."""
        given = self._given()
        hidden = secrets.names(self.connector_class)
        plain = {name: value for name, value in given.items() if name not in hidden}
        return secrets.replaced({**stored, **plain}, {name: given[name] for name in hidden})

    def save(self, commit: bool = True) -> Connection:
        """Puts the settings into the connection."""
        connection = cast(Connection, self.instance)
        connection.config = self.settings_over(connection.config if connection.pk else {})
        connection.connector, connection.kind = self.connector_path, self.connector_class.kind
        return cast(Connection, super().save(commit))


def form_for(path: str, connector: type[Connector], *, refused: str = "") -> type[ConnectionForm]:
    """A form class for connections of this connector; `refused`: nothing of it is saved, and why."""
    types = get_type_hints(connector.Config)
    boxes = {PREFIX + item.name: _box(item, types[item.name]) for item in fields(connector.Config)}
    members = {**boxes, "connector_class": connector, "connector_path": path, "refused": refused}
    return cast(type[ConnectionForm], type(f"{connector.__name__}Form", (ConnectionForm,), members))


def _stored(config: Mapping[str, Any], name: str) -> str:
    told = _("Задан%(tail)s. Оставьте пустым, чтобы не менять.") % {
        "tail": f", {tail}" if (tail := secrets.tail(config[name])) else ""
    }
    until = secrets.old_until(config)
    if until and name in config[secrets.OLD]["values"]:
        local = timezone.localtime(until)
        told += " " + _("Прежний ещё принимается в уведомлениях до %s.") % f"{local:%d.%m.%Y %H:%M}"
    return told


def setting_names(connector: type[Connector]) -> list[str]:
    """Names of the form's boxes for the connector's own settings."""
    return [PREFIX + item.name for item in fields(connector.Config)]


def _box(item: "Field[Any]", type_: type) -> forms.Field:
    kind, widget = _BOXES.get(type_, _BOXES[str])
    if item.metadata.get("has_lines"):
        widget = UnfoldAdminTextareaWidget
    secret = item.metadata.get("secret", False)
    has_default = item.default is not MISSING
    options: dict[str, Any] = {
        "label": capfirst(item.metadata.get("label") or item.name),
        "help_text": item.metadata.get("help_text", ""),
        "required": not has_default and type_ is not bool,
        "widget": UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}) if secret else widget(),
    }
    if has_default and not secret:
        options["initial"] = item.default
    return kind(**options)
