"""The benches of partners: creation, a migration with nothing to do, a column added to all of them."""

import itertools
from collections.abc import Callable

from django.core.management import call_command
from django.db import connection

from apps.core import clock, tasks
from apps.core.models import Delivery, Due
from apps.core.tenancy import in_public
from apps.partners import schemas
from apps.partners.models import LegalEntity, MigrationScript, Partner
from apps.partners.services import create_partner
from bench.measure import in_turn

_numbers = itertools.count(1)


def operator() -> LegalEntity:
    entity, _ = LegalEntity.objects.get_or_create(
        is_operator=True, defaults={"name": "Платформа", "inn": "7707083893"}
    )
    return entity


def new_partner() -> Partner:
    number = next(_numbers)
    return create_partner(slug=f"bench-{number}", name=f"Партнёр {number}", legal_entity=operator())


def bare_schema() -> str:
    """The floor of a partner: the bare SQL of its schema."""
    name = f"bare{next(_numbers):06d}"
    texts = [script.sql for script in MigrationScript.objects.order_by("position") if script.sql]
    with connection.cursor() as cursor:
        cursor.execute(f"BEGIN; CREATE SCHEMA {name}; SET LOCAL search_path = {name}, public")
        cursor.execute(";\n".join(texts) + "; COMMIT")
    return name


def partner_create() -> dict[str, float]:
    return in_turn(new_partner, bare_schema, rounds=7)


def at_least(count: int) -> None:
    """Makes partners until there are so many; only `django_migrations` matters to a migration with nothing to do."""
    while Partner.objects.count() < count:
        new_partner()


def migrate_noop_1000() -> dict[str, float]:
    """1,000 partners with nothing to migrate; the floor is one count in each of their `django_migrations`."""
    at_least(1000)
    names = list(Partner.objects.values_list("schema_name", flat=True))

    def floor() -> None:
        with connection.cursor() as cursor:
            for name in names:
                cursor.execute(f'SELECT count(*) FROM "{name}".django_migrations')

    return in_turn(lambda: call_command("migrate_all", verbosity=0), floor, rounds=3, each=1000)


def migrate_column_200() -> dict[str, float]:
    """A column added in 200 partners; the floor is the bare ALTERs."""
    at_least(200)
    partners = list(Partner.objects.order_by("pk")[:200])
    positions = itertools.count(100_000)

    def script() -> MigrationScript:
        position = next(positions)
        sql = f"ALTER TABLE orders_order ADD COLUMN bench_{position} integer"
        # As after migrating the template, which must know of every script.
        with connection.cursor() as cursor:
            cursor.execute(sql.replace("orders_order", "template.orders_order"))
            cursor.execute(
                "INSERT INTO template.django_migrations (app, name, applied) VALUES ('orders', %s, now())",
                [f"{position}_bench"],
            )
        return MigrationScript.objects.create(
            app="orders",
            name=f"{position}_bench",
            position=position,
            sql=sql,
        )

    def ours() -> None:
        script()
        wanted = {partner.pk for partner in partners}
        full = schemas.behind
        schemas.behind = lambda: {p: s for p, s in full().items() if p.pk in wanted}
        try:
            schemas.bring_all_up(lambda done, total: None)
        finally:
            schemas.behind = full

    def floor() -> None:
        name = f"floor_{next(positions)}"
        with connection.cursor() as cursor:
            for partner in partners:
                cursor.execute(f'ALTER TABLE "{partner.schema_name}".orders_order ADD COLUMN {name} integer')

    with in_public():
        return in_turn(ours, floor, rounds=3, each=200)


def order_api() -> dict[str, float]:
    from bench import orders

    return orders.order_api()


def order_intake() -> dict[str, float]:
    from bench import intake

    return intake.order_intake()


def renewal_run() -> dict[str, float]:
    from bench import renewals

    return renewals.renewal_run()


def invoice_pdf() -> dict[str, float]:
    from bench import documents

    return documents.invoice_pdf()


def charging_30() -> dict[str, float]:
    from bench import charging

    return charging.charging_30()


def charging_200() -> dict[str, float]:
    from bench import charging

    return charging.charging_200()


def webhook_intake() -> dict[str, float]:
    from bench import webhooks

    return webhooks.webhook_intake()


def order_to_key() -> dict[str, float]:
    """Twenty customers a second who have paid, for a minute, until each has the key; the floor is a second."""
    from bench import fulfilment

    return fulfilment.order_to_key()


def entitlement() -> dict[str, float]:
    from bench import entitlement as rights

    return rights.entitlement()


def provider_outage() -> dict[str, float]:
    """One of ten providers off; the floor is the other nine's 95th wait before it was: at most a quarter more."""
    from bench import outage

    return outage.provider_outage()


def control_room_1m() -> dict[str, float]:
    """The control room over a partner of a million orders, some thousands of which hang."""
    from bench import control_room

    return control_room.control_room_1m()


def idle_tick_1000() -> dict[str, float]:
    """A tick over 1,000 partners with nothing due; the floor is one bare SELECT."""
    at_least(1000)
    with in_public(), connection.cursor() as cursor:
        Due.objects.filter(is_sandbox=False, due_at__lte=clock.wall()).delete()
        Delivery.objects.all().delete()
        cursor.execute("VACUUM (ANALYZE) core_due, core_delivery")

    def floor() -> None:
        connection.ensure_connection()
        connection.connection.execute("SELECT 1").fetchone()

    return in_turn(tasks.tick, floor, rounds=50)


CASES: dict[str, Callable[[], dict[str, float]]] = {
    "order_api": order_api,
    "order_intake": order_intake,
    "renewal_run": renewal_run,
    "charging_30": charging_30,
    "charging_200": charging_200,
    "webhook_intake": webhook_intake,
    "order_to_key": order_to_key,
    "provider_outage": provider_outage,
    "entitlement": entitlement,
    "control_room_1m": control_room_1m,
    "invoice_pdf": invoice_pdf,
    "partner_create": partner_create,
    "migrate_column_200": migrate_column_200,
    "migrate_noop_1000": migrate_noop_1000,
    "idle_tick_1000": idle_tick_1000,
}
