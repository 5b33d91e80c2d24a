"""Migrates everything: public first, then the template, then every partner that lacks something, in parallel."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.core.tenancy import in_public
from apps.partners import schemas


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--progress", action="store_true", help="show each step")
        parser.add_argument("--list", action="store_true", help="only list the partners that lack something")
        parser.add_argument("--threads", type=int, default=2)

    def handle(self, *args: Any, **options: Any) -> None:
        with in_public():
            if options["list"]:
                return self.show()
            with schemas.alone():
                self.migrate(**options)

    def migrate(self, **options: Any) -> None:
        schemas.migrate_public(self.say if options["progress"] else None)
        recorded = schemas.record_template()
        if recorded:
            self.stdout.write(f"template: {recorded} migrations recorded")
        done = schemas.bring_all_up(self.step, threads=options["threads"])
        self.stdout.write(f"partners: {done} brought up to date")

    def say(self, action: str, migration: Any = None, fake: bool = False) -> None:
        """Django's own progress of migrations."""
        if action == "apply_success":
            self.stdout.write(f"public: {migration}")

    def step(self, done: int, total: int) -> None:
        if done == total or done % 10 == 0:
            self.stdout.write(f"partners: {done} of {total}")

    def show(self) -> None:
        lagging = schemas.behind()
        for partner, scripts in lagging.items():
            missing = ", ".join(f"{script.app}.{script.name}" for script in scripts)
            self.stdout.write(f"{partner.slug} ({partner.schema_name}): {missing}")
        self.stdout.write(f"{len(lagging)} partners lack something")
