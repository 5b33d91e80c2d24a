#!/usr/bin/env python
"""Runs ARMOR's management commands."""

import os
import sys
from pathlib import Path

from armor import running


def main() -> None:
    running.join(Path(__file__).resolve().parent)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
