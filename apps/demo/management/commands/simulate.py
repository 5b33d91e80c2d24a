"""Lets partners, customers and faults live for months through HTTP and the clock; prints a JSON summary, and audits.

Exits with 1 where nothing was sold, a rule does not hold, or our payments are not those of the gateway's register.
"""

import json
import logging
import random
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.tenancy import in_public
from apps.demo import company
from apps.demo.simulation import Simulation
from apps.demo.world import World, world


class Command(BaseCommand):
    help = __doc__
    partners, customers, months = 2, 10, 6

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--partners", type=int, default=self.partners)
        parser.add_argument(
            "--customers", type=int, default=self.customers, help="per partner, over all months"
        )
        parser.add_argument("--months", type=int, default=self.months)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--base-url", default="", help="a running system; by default one is made here")

    def handle(self, *args: Any, **options: Any) -> None:
        # Faults are meant to happen: what they break is told in the summary, not in a trace each.
        logging.getLogger("apps").setLevel(logging.CRITICAL)
        logging.getLogger("django.request").setLevel(logging.CRITICAL)
        with in_public():
            company.operator()
            company.catalogue(self.say)
        with world(base_url=options["base_url"]) as here:
            simulation = Simulation(
                here, random.Random(options["seed"]), self.say, after_month=self.after_month(here, options)
            )
            summary = simulation.run(
                partners=options["partners"], customers=options["customers"], months=options["months"]
            )
        self.stdout.write(json.dumps({"seed": options["seed"], **summary}, ensure_ascii=False, indent=2))
        if not summary["payments"]:
            raise CommandError("Nothing was sold: this proves nothing", returncode=1)
        if summary["violations"] or summary["differences"]:
            raise CommandError(
                f"{len(summary['violations'])} violations, {len(summary['differences'])} differences",
                returncode=1,
            )

    def after_month(self, here: World, options: dict[str, Any]) -> Callable[[], None]:
        """What else happens between two months."""
        return lambda: None

    def say(self, text: str) -> None:
        """Progress, beside the summary."""
        self.stderr.write(text)
