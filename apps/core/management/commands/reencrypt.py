"""Encrypts all that is stored with the newest of ARMOR_ENCRYPTION_KEYS, while the platform runs; then drop old keys.

Exits with 1 where a value is still written with an old key, or with none of them.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import rotation


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=500, help="values in a transaction (500)")
        parser.add_argument("--pause", type=float, default=0.0, help="seconds after each batch (0)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1 or options["pause"] < 0:
            raise CommandError("--batch is at least 1, --pause at least 0")
        total = rotation.Done()
        for name, done in rotation.run(options["batch"], options["pause"]):
            total.add(done)
            if done.held or done.unreadable:
                self.stderr.write(f"{name}: {done.held} held by others, {done.unreadable} of an unknown key")
        self.stdout.write(f"{total.seen} values, {total.renewed} of them encrypted anew")
        if total.held or total.unreadable:
            raise CommandError("Not all is written with the newest key: keep the old ones, run this again")
        self.stdout.write("The newest key reads all of them: the others can be dropped")
