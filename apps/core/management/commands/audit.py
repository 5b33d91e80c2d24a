"""Re-derives from the data of every partner what must always hold; exits with 1 where it does not."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import audit


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--partner", action="append", help="slug of a partner; all of them by default")

    def handle(self, *args: Any, **options: Any) -> None:
        ids = None
        if options["partner"]:
            partners = apps.get_model("partners.Partner").objects.filter(slug__in=options["partner"])
            ids = [partner.pk for partner in partners]
            if len(ids) != len(set(options["partner"])):
                raise CommandError("No such partner")
        found = 0
        for violation in audit.run(ids):
            found += 1
            self.stderr.write(f"{violation.rule} [{violation.partner or 'platform'}] {violation.text}")
        if found:
            raise CommandError(f"{found} violations", returncode=1)
        self.stdout.write(f"{len(audit.RULES)} rules hold")
