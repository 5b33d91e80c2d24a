"""The VAT rates in force: NK RF art. 164, 22 % by 425-ФЗ of 28.11.2025."""

from django.db import migrations

FORWARD = """
INSERT INTO policies_vatrate (code, name, percent, valid_from) VALUES
    ('standard', 'НДС 20 %', 20, '2019-01-01'),
    ('standard', 'НДС 22 %', 22, '2026-01-01'),
    ('reduced', 'НДС 10 %', 10, '2019-01-01'),
    ('none', 'без НДС', NULL, '2019-01-01');
"""


class Migration(migrations.Migration):
    dependencies = [("policies", "0001_initial")]
    operations = [migrations.RunSQL([(FORWARD, None)], "DELETE FROM policies_vatrate")]
