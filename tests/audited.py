"""What the auditor finds at one partner of an installation, as a JSON list: `-m tests.audited PARTNER_ID`."""

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
django.setup()

from apps.core import audit  # noqa: E402

if __name__ == "__main__":
    found = audit.run([int(sys.argv[1])])
    json.dump(sorted({f"{one.rule}: {one.text}" for one in found}), sys.stdout)
