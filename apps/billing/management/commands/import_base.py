"""Looks at a partner's base of another system and says every doubt; with --load its good rows wait to be moved."""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.billing.moving import doubts, loading, reading, shadow
from apps.connectors.models import Connection
from apps.core.errors import Refused
from apps.core.tenancy import in_partner


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner", help="slug")
        parser.add_argument("file", type=Path, help="CSV or XLSX; see docs/operator.md, «Перенос базы»")
        parser.add_argument(
            "--connection", type=int, help="id of the gateway that the saved tokens belong to"
        )
        parser.add_argument("--load", action="store_true", help="load the rows without an error")
        parser.add_argument(
            "--shadow",
            nargs=2,
            metavar=("FROM", "TO"),
            type=date.fromisoformat,
            help="the file is of charges: compare [FROM, TO) with what we would have charged",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        partner = apps.get_model("partners.Partner").objects.filter(slug=options["partner"]).first()
        if partner is None:
            raise CommandError("No such partner")
        file: Path = options["file"]
        try:
            table = reading.dataset(file.name, file.read_bytes())
            with in_partner(partner):
                self.compare(table, options) if options["shadow"] else self.look(table, partner, options)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        except Refused as refused:
            raise CommandError(str(refused.message)) from refused

    def look(self, table: Any, partner: Any, options: dict[str, Any]) -> None:
        connection = _gateway(partner, options["connection"])
        found = loading.look(table, has_gateway=connection is not None)
        for one in sorted(found.doubts, key=lambda doubt: (doubt.line, doubt.code)):
            words = doubts.SEVERITIES[one.severity]
            self.stdout.write(f"{one.line}\t{words}\t{one.external_id}\t{one.text}")
        counts = Counter(one.severity for one in found.doubts)
        told = ", ".join(f"{counts[name]} {words}" for name, words in doubts.SEVERITIES.items())
        self.stdout.write(f"{len(found.rows)} rows, {len(found.good)} good; {told}")
        if options["load"]:
            made = loading.load(
                name=options["file"].name, look=found, connection=connection, actor="import_base"
            )
            self.stdout.write(", ".join(f"{name} {count}" for name, count in made.loaded.items()))

    def compare(self, table: Any, options: dict[str, Any]) -> None:
        start, end = options["shadow"]
        run = shadow.run(
            name=options["file"].name,
            old=reading.old_charges(table),
            start=start,
            end=end,
            actor="import_base",
        )
        for one in shadow.read_back(run):
            self.stdout.write(
                f"{one.external_id}\t{shadow.CLASSES[one.kind][1]}\t{_side(one.ours)}\t{_side(one.theirs)}\t{one.hint}"
            )
        self.stdout.write(f"{run.equal} equal, {run.explained} explained, {run.unexplained} not explained")
        if run.unexplained:
            raise CommandError(f"{run.unexplained} differences are not explained", returncode=1)


def _gateway(partner: Any, key: int | None) -> Connection | None:
    if key is None:
        return None
    found = Connection.objects.filter(pk=key, kind="payment", is_test=partner.is_sandbox).first()
    if found is None or found.partner_id not in {None, partner.pk}:
        raise CommandError("No such gateway of this partner")
    return found


def _side(one: shadow.Money | None) -> str:
    return f"{one.day:%d.%m.%Y} {one.amount}" if one else "-"
