"""Lets the crowd in: `python -m tests.isolation`."""

import django

django.setup()

from tests.isolation.crowd import main  # noqa: E402

main()
