"""What must hold of the catalogue."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Max, Q

from apps.catalog import parameters, stops
from apps.catalog.lifecycle import ARCHIVED
from apps.catalog.models import BundlePart, Cause, Delivery, Product, SalesStop, Tariff, TariffVersion
from apps.connectors import breaker
from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.models import Delivery as News

for _name in ("category", "product", "tariff", "offer"):
    audit.guarded(f"catalog_{_name}", f"catalog_{_name}_kept")
audit.guarded("catalog_tariffversion", "catalog_tariffversion_kept", "catalog_version_frozen")
audit.guarded("catalog_bundlepart", "catalog_bundlepart_kept", "catalog_part_frozen")
for _name in ("productdocument", "pricechange"):
    audit.guarded(f"catalog_{_name}", f"catalog_{_name}_kept", f"catalog_{_name}_whole")
audit.guarded("catalog_planstep", "catalog_planstep_frozen")
audit.guarded("catalog_providerterms", "catalog_providerterms_in_force", "catalog_providerterms_kept")


# Its object is made of the stop's number, and stands in no table.
audit.OBJECTS[stops.KIND] = None


@audit.rule(
    "catalog.stops-remembered",
    scope="public",
    of=(
        audit.some(Connection, opened_at__isnull=False),
        audit.some(SalesStop, cause=Cause.CIRCUIT, closed_at=None),
    ),
)
def stops_remembered() -> Iterator[str]:
    """Since when a provider does not answer is remembered while it does not, and no longer; re-derived from its line.

    Not of those of whom news is on its way, which may take a while: `core.delivered-in-a-day` looks after it.
    """
    lately = clock.wall() - timedelta(minutes=10)
    on_its_way = News.objects.filter(event__type=breaker.CHANGED).values_list("event__object_id", flat=True)
    lines = {key.int for key in on_its_way}
    down = Product.objects.filter(provider__connection__opened_at__lt=lately).exclude(
        provider__connection__in=lines
    )
    since = dict(down.values_list("provider", "provider__connection__opened_at").distinct())
    rows = SalesStop.objects.filter(cause=Cause.CIRCUIT, closed_at=None).select_related(
        "provider__connection"
    )
    known = {row.provider_id: row for row in rows}
    for key in sorted(since.keys() - known.keys()):
        yield f"Provider {key} has not answered since {since[key]}, and no stop says so"
    for row in known.values():
        line = row.provider.connection if row.provider else None
        is_told = line is not None and line.pk in lines
        if row.starts_at < lately and not is_told and not (line and line.opened_at):
            yield f"Stop {row.pk} says that provider {row.provider_id} does not answer, and it does"


@audit.rule("catalog.newest-version-is-sold", scope="public")
def newest_version_is_sold() -> Iterator[str]:
    """A tariff is sold by its newest version but those that wait for their day; numbers have no gaps."""
    begun = Q(versions__price_change=None) | Q(versions__price_change__started_at__isnull=False)
    rows = Tariff.objects.select_related("current").annotate(
        newest=Max("versions__number"), begun=Max("versions__number", filter=begun), count=Count("versions")
    )
    for tariff in rows:
        current = tariff.current.number if tariff.current else None
        if tariff.begun != current:
            yield f"Tariff {tariff.code} is sold by version {current} of {tariff.begun}"
        elif tariff.newest and tariff.count != tariff.newest:
            yield f"Tariff {tariff.code} has {tariff.count} versions, the newest is {tariff.newest}"


@audit.rule(
    "catalog.values-fit-parameters", scope="public", of=(audit.some(TariffVersion, ~Q(parameters={})),)
)
def values_fit_parameters() -> Iterator[str]:
    """Every value of a version in force belongs to a declared parameter and is of its kind."""
    tariffs = (
        Tariff.objects.filter(current__isnull=False).exclude(state=ARCHIVED).exclude(current__parameters={})
    )
    for tariff in tariffs.select_related("current", "product").prefetch_related("product__parameters"):
        declared = {one.code: one for one in tariff.product.parameters.all()}
        for code, value in tariff.current.parameters.items() if tariff.current else ():
            try:
                one = declared[code]
                parameters.check(value, one.kind, one.choices)
            except (KeyError, ValueError) as error:
                yield f"Tariff {tariff.code}: parameter {code}: {error}"


@audit.rule(
    "catalog.bundle-has-parts",
    scope="public",
    of=(
        BundlePart,
        audit.some(Product, delivery=Delivery.BUNDLE),
    ),
)
def bundle_has_parts() -> Iterator[str]:
    """A bundle consists of tariffs that are no bundles; nothing else has parts."""
    whole = TariffVersion.objects.filter(bundle_parts__isnull=False)
    for version in whole.exclude(tariff__product__delivery=Delivery.BUNDLE).distinct():
        yield f"Version {version} has parts and is no bundle"
    empty = TariffVersion.objects.filter(tariff__product__delivery=Delivery.BUNDLE, bundle_parts=None)
    for version in empty:
        yield f"Version {version} is a bundle without parts"
    for part in BundlePart.objects.filter(tariff__product__delivery=Delivery.BUNDLE):
        yield f"Version {part.version_id} has a bundle within a bundle"
