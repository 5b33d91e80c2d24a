"""Leads the demonstration's connections to the simulators of this start, and tells them where webhooks go."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.demo.connect import connect
from apps.partners.models import LegalEntity


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        if not LegalEntity.objects.filter(is_operator=True).exists():
            self.stdout.write("nothing is seeded: nothing to connect")
            return
        made = connect(webhooks_to=settings.INTAKE_URL or f"http://{settings.PUBLIC_HOST}:{settings.PORT}")
        self.stdout.write(f"{len(made)} connections lead to the simulators")
