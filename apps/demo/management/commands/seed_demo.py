"""Fills an empty platform with a lived-in demonstration; run again, it only adds what is missing."""

import os
import time
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.core.tenancy import in_partner, in_public
from apps.demo import books, company, history, lives
from apps.demo.connect import Addresses, connect
from apps.orders.models import Order
from apps.partners.models import Partner


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=45, help="how far back the sales go")
        parser.add_argument("--sales", type=int, default=5, help="orders per partner; 0 leaves them out")

    def handle(self, *args: Any, **options: Any) -> None:
        self.began = time.monotonic()
        with in_public():
            company.operator()
            company.catalogue(self.say)
            connect()
            books.receipts()
            shops = company.partners(self.say)
            company.routes(shops)
            logins = company.staff()
            new_keys = {slug: company.api_key(shop) for slug, shop in shops.items() if not _has_key(shop)}
            for seed, shop in enumerate(shops.values(), start=1):
                self.live(shop, seed, **options)
            if options["sales"]:
                lives.plan_a_price()
                self.reconcile(shops[company.SHOPS[0].slug])
            _write_logins(logins, new_keys)
        self.say("готово; логины и ключи API — в var/demo-logins.txt")

    def live(self, shop: Partner, seed: int, *, days: int, sales: int, **_options: Any) -> None:
        """A partner's past, unless it has one or the simulators are not up."""
        with in_partner(shop):
            if not sales or Order.objects.exists():
                return
        if not _gateway_answers():
            self.say("симуляторы не отвечают: без продаж")
            return
        is_first = shop.slug == company.SHOPS[0].slug
        paid = history.live_through(shop, days=days, sales=sales, seed=seed, with_lives=is_first)
        self.say(f"«{shop.name}»: оплачено заказов — {paid}")

    def reconcile(self, shop: Partner) -> None:
        """Gateway and bank beside our books, unless the simulators are not up."""
        if _gateway_answers() and (told := books.reconcile(shop)):
            self.say(told)

    def say(self, text: str) -> None:
        """A line with the seconds since the start."""
        self.stdout.write(f"{time.monotonic() - self.began:5.1f} с  {text}")


def _has_key(partner: Partner) -> bool:
    from apps.channels.models import ApiKey

    with in_partner(partner):
        return ApiKey.objects.filter(name="Демо", revoked_at=None).exists()


def _gateway_answers() -> bool:
    try:
        Addresses().control("yookassa").health()
    except (LookupError, httpx.HTTPError):
        return False
    return True


def _write_logins(logins: list[tuple[str, str, str]], new_keys: dict[str, str]) -> None:
    """Logins anew each time; keys are shown once, so earlier ones are kept."""
    file = Path(settings.VAR_DIR) / "demo-logins.txt"
    mark = "  Ключ API "
    earlier = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    kept = [line for line in earlier if line.startswith(mark)]
    lines = [f"  {title}: {login} / {password}" for login, password, title in logins]
    lines += kept + [f"{mark}{slug}: {key}" for slug, key in new_keys.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write("\n".join(lines) + "\n")
