"""The catalogue's models (public): products, tariffs with versions, offers, price changes."""

from apps.catalog.models.changes import Policy, PriceChange, PriceImpact
from apps.catalog.models.costs import ProviderTerms, ProviderTermsQuerySet, Trade
from apps.catalog.models.offers import Offer, OfferQuerySet, Payer
from apps.catalog.models.plans import FulfilmentPlan, PlanStep, StepKind, Undo
from apps.catalog.models.products import (
    Category,
    Delivery,
    DocumentKind,
    Feature,
    Product,
    ProductDocument,
    ProductParameter,
    ProductPicture,
)
from apps.catalog.models.stops import Cause, SalesStop
from apps.catalog.models.tariffs import (
    BundlePart,
    PeriodUnit,
    Relation,
    Tariff,
    TariffRelation,
    TariffVersion,
)

__all__ = [
    "BundlePart",
    "Category",
    "Cause",
    "Delivery",
    "DocumentKind",
    "Feature",
    "FulfilmentPlan",
    "Offer",
    "OfferQuerySet",
    "Payer",
    "PeriodUnit",
    "PlanStep",
    "Policy",
    "PriceChange",
    "PriceImpact",
    "Product",
    "ProductDocument",
    "ProductParameter",
    "ProductPicture",
    "ProviderTerms",
    "ProviderTermsQuerySet",
    "Relation",
    "SalesStop",
    "StepKind",
    "Tariff",
    "TariffRelation",
    "TariffVersion",
    "Trade",
    "Undo",
]
