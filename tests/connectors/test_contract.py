"""Every connector is one by being listed: the same test for all."""

import re
from dataclasses import fields, is_dataclass

import pytest
from django.conf import settings
from django.utils import translation

from apps.connectors.base import Connector, Kind, connector_class
from apps.connectors.checks import connectors_are_whole, problems
from apps.connectors.forms import form_for, setting_names
from apps.connectors.models import Connection


@pytest.mark.parametrize("path", settings.CONNECTORS)
def test_connector_keeps_the_contract(path):
    assert list(problems(path)) == []
    found = connector_class(path)
    assert issubclass(found, Connector)
    assert found.kind in Kind.values
    assert is_dataclass(found.Config)
    with translation.override("ru"):
        labels = [str(item.metadata["label"]) for item in fields(found.Config)]
    # The title may be a trade mark; what staff is asked for is in Russian.
    assert found.title
    assert all(re.search("[а-яё]", label, re.IGNORECASE) for label in labels), labels
    assert set(setting_names(found)) <= set(form_for(path, found)(instance=Connection()).fields)


def test_wrong_paths_are_refused_at_start(settings):
    settings.CONNECTORS = ["apps.nowhere.Gateway", "decimal.Decimal", "tests.connectors.echo.NoFetch"]
    said = [str(error.msg) for error in connectors_are_whole(None)]
    assert any("No module named 'apps.nowhere'" in line for line in said)
    assert any("is not a Connector" in line for line in said)
    assert any("lacks fetch" in line for line in said)
    assert any("no known kind" in line for line in said)
    assert any("no title" in line for line in said)
    assert any("frozen dataclass" in line for line in said)
