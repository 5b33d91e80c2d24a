"""What must hold of the catalogue."""

from collections.abc import Iterator

from django.db.models import Max

from apps.catalog import parameters
from apps.catalog.models import BundlePart, Delivery, Tariff, TariffVersion
from apps.core import audit

for _name in ("category", "product", "tariff", "offer"):
    audit.guarded(f"catalog_{_name}", f"catalog_{_name}_kept")
audit.guarded("catalog_tariffversion", "catalog_tariffversion_kept", "catalog_version_frozen")
audit.guarded("catalog_bundlepart", "catalog_bundlepart_kept", "catalog_part_frozen")


@audit.rule("catalog.newest-version-is-sold", scope="public")
def newest_version_is_sold() -> Iterator[str]:
    """A tariff is sold by its newest version, and numbers have no gaps."""
    for tariff in Tariff.objects.select_related("current").annotate(newest=Max("versions__number")):
        current = tariff.current
        if tariff.newest != (current.number if current else None):
            yield f"Tariff {tariff.code} is sold by version {current and current.number} of {tariff.newest}"
        elif tariff.newest and (count := tariff.versions.count()) != tariff.newest:
            yield f"Tariff {tariff.code} has {count} versions, the newest is {tariff.newest}"


@audit.rule("catalog.values-fit-parameters", scope="public")
def values_fit_parameters() -> Iterator[str]:
    """Every value of a version in force belongs to a declared parameter and is of its kind."""
    tariffs = Tariff.objects.filter(current__isnull=False, is_archived=False)
    for tariff in tariffs.select_related("current", "product").prefetch_related("product__parameters"):
        declared = {one.code: one for one in tariff.product.parameters.all()}
        for code, value in tariff.current.parameters.items() if tariff.current else ():
            try:
                one = declared[code]
                parameters.check(value, one.kind, one.choices)
            except (KeyError, ValueError) as error:
                yield f"Tariff {tariff.code}: parameter {code}: {error}"


@audit.rule("catalog.bundle-has-parts", scope="public")
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
