"""The demonstration's company: whose it is, what it sells, through whom, and who works there."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import resources

from django.contrib.auth.models import User

from apps.catalog.formats import PriceListCSV
from apps.catalog.models import ProviderTerms, Tariff, Trade
from apps.catalog.offers import put_on_sale
from apps.catalog.resources import TariffResource
from apps.channels.models import ApiKey, Channel, Scope
from apps.connectors.models import Connection
from apps.core.tenancy import in_partner
from apps.demo import english
from apps.partners.models import ContractTerms, LegalEntity, Partner, StaffRole
from apps.partners.services import create_partner
from apps.policies.routes import PaymentRoute, RouteShare
from apps.providers import keys
from apps.providers.models import ActivationKey, KeyPool, Provider
from apps.providers.services import ensure

Say = Callable[[str], None]
PROVIDERS = {
    "Доктор рядом": "doctor",
    "Щит Лабс": "shield",
    "Премьера Медиа": "premiere",
    "Слово": "slovo",
    "Правовед": "pravoved",
    "Облако плюс": "cloud",
    "Гарант": "garant",
}
KEYS_IN_POOL = 120
KEY_SKUS = ("AVIRUS-1", "AVIRUS-3", "AVIRUS-M", "VPNCORP-5", "VPNCORP-25")
# A phone's shield is a deep link of a provider without an API: staff would have to send each by hand.
NOT_OFFERED = ("PHONESAFE",)


@dataclass(frozen=True)
class Shop:
    """A partner of the demonstration; `sells` are product codes, empty for all."""

    slug: str
    name: str
    colour: str
    tagline: str
    share: Decimal = Decimal(0)
    sells: tuple[str, ...] = ()
    is_sandbox: bool = False


SHOPS = (
    Shop(
        "sever",
        "Банк Север",
        "#0f766e",
        "Полезные подписки для клиентов банка",
        Decimal(20),
        ("TELEMED", "AVIRUS", "LEGAL", "KINO", "GADGET", "PETVET", "BUNDLE"),
    ),
    Shop(
        "svyaz",
        "Связь Плюс",
        "#7c3aed",
        "Кино, музыка и защита — одним счётом",
        Decimal("17.5"),
        ("AVIRUS", "KINO", "AUDIO", "CLOUD", "KIDS", "VPNCORP"),
    ),
    Shop(
        "media",
        "Медиа Парк",
        "#c2410c",
        "Смотрите, слушайте, занимайтесь",
        Decimal(25),
        ("KINO", "AUDIO", "FIT", "KIDS", "CLOUD"),
    ),
    Shop(
        "sandbox",
        "Песочница",
        "#2563eb",
        "Здесь можно пробовать всё: время идёт по вашей команде",
        is_sandbox=True,
    ),
)
ADMIN_PASSWORD = "admin-demo-password"
STAFF = (
    ("admin", ADMIN_PASSWORD, StaffRole.Role.ADMIN, None, "платформа, администратор"),
    ("finance", "finance-demo-password", StaffRole.Role.FINANCE, None, "платформа, финансы"),
    ("support", "support-demo-password", StaffRole.Role.SUPPORT, None, "платформа, поддержка"),
    ("sever", "sever-demo-password", StaffRole.Role.MANAGER, "sever", "Банк Север, менеджер"),
    ("svyaz", "svyaz-demo-password", StaffRole.Role.MANAGER, "svyaz", "Связь Плюс, менеджер"),
    ("media", "media-demo-password", StaffRole.Role.MANAGER, "media", "Медиа Парк, менеджер"),
)


def operator() -> LegalEntity:
    """The operator's company."""
    entity = LegalEntity.objects.filter(is_operator=True).first()
    return entity or LegalEntity.objects.create(
        name="ООО «Платформа»",
        inn="7707083893",
        kpp="770701001",
        address="101000, Москва, ул. Мясницкая, 1",
        bank="АО «Пример Банк»",
        bik="044525000",
        account="40702810000000000001",
        bank_account="30101810000000000000",
        signer="Генеральный директор С. В. Платонов",
        is_operator=True,
    )


def catalogue(say: Say) -> None:
    """Providers, the price list and keys in the pools."""
    for name, code in PROVIDERS.items():
        ensure(name, code=code)
    content = resources.files("apps.demo").joinpath("data/price-list.csv").read_bytes()
    result = TariffResource().import_data(PriceListCSV().create_dataset(content), dry_run=False)
    if result.problems():
        raise ValueError("; ".join(result.problems()))
    english.translate_catalogue()
    say(f"каталог: {Tariff.objects.count()} тарифов по прайс-листу")
    for is_test in (False, True):
        for sku in KEY_SKUS:
            _fill(sku, is_test=is_test)
    say(f"ключи активации: {ActivationKey.objects.filter(state='free').count()} свободных")


def _fill(sku: str, *, is_test: bool) -> None:
    pool, is_new = KeyPool.objects.get_or_create(
        sku=sku,
        is_test=is_test,
        defaults={
            "provider": ensure("Щит Лабс"),
            "renewal": "same_key",
            "instructions": {
                "ru": "Откройте приложение, выберите «Ввести ключ» и вставьте его.",
                "en": "Open the application, choose “Enter a key” and paste it.",
            },
        },
    )
    if is_new:
        # The last pool is let run low on purpose: the queue shows what a low stock looks like.
        count = 12 if sku == "VPNCORP-25" and not is_test else KEYS_IN_POOL
        keys.load(pool=pool, content="\n".join(_key() for _ in range(count)))


def _key() -> str:
    return "-".join(secrets.token_hex(2).upper() for _ in range(5))


def partners(say: Say, shops: tuple[Shop, ...] = SHOPS) -> dict[str, Partner]:
    """The partners with contracts and offers, by slug; those that are there already are left as they are."""
    _agree_with_providers()
    found = {partner.slug: partner for partner in Partner.objects.select_related("legal_entity")}
    for shop in shops:
        if shop.slug not in found:
            found[shop.slug] = partner(shop)
            say(f"партнёр «{shop.name}»: {found[shop.slug].url()}")
    return {shop.slug: found[shop.slug] for shop in shops}


def _agree_with_providers() -> None:
    """Nearly all are resold; insurance is the insurer's, and a key that was handed out is paid for in any case."""
    agreed: dict[str, dict[str, object]] = {
        "Гарант": {"trade": Trade.AGENCY, "percent": Decimal(20), "base": "gross"},
        "Щит Лабс": {"percent": Decimal(45), "clawback": False},
    }
    for number, provider in enumerate(Provider.objects.filter(name__in=PROVIDERS), start=1):
        ProviderTerms.objects.get_or_create(
            provider=provider,
            product=None,
            tariff=None,
            valid_from=date(2020, 1, 1),
            defaults={"number": f"П-{number}", **agreed.get(provider.name, {"percent": Decimal(40)})},
        )


def partner(shop: Shop) -> Partner:
    """A new partner that sells what it is to sell."""
    made = create_partner(
        slug=shop.slug,
        name=shop.name,
        is_sandbox=shop.is_sandbox,
        colour=shop.colour,
        tagline={"ru": shop.tagline, "en": english.TAGLINES.get(shop.tagline, "")},
        support_email=f"help@{shop.slug}.localhost",
    )
    ContractTerms.objects.create(
        partner=made, number=f"Д-{made.pk}", valid_from=date(2020, 1, 1), share_percent=shop.share
    )
    tariffs = Tariff.objects.filter(current__isnull=False, state=Tariff.State.ON_SALE)
    tariffs = tariffs.exclude(product__code__in=NOT_OFFERED).order_by("product__sort", "sort")
    if shop.sells:
        tariffs = tariffs.filter(product__code__in=shop.sells)
    put_on_sale(partner_id=made.pk, tariffs=tariffs)
    return made


ROUTES = (("svyaz", (("Т-Банк", 100),)), ("media", (("CloudPayments", 70), ("Robokassa", 30))))
"""Partners whose payments go elsewhere than to ЮKassa: names of connections, and the share of each in percent."""


def routes(partners: dict[str, Partner]) -> None:
    """Rules of payments, where there is none yet and the gateways are connected."""
    for slug, shares in ROUTES:
        live = Connection.objects.filter(kind="payment", partner=None, is_test=False)
        found = {one.name: one for one in live}
        if slug not in partners or not {name for name, _percent in shares} <= set(found):
            continue
        route, is_new = PaymentRoute.objects.get_or_create(name=partners[slug].name, partner=partners[slug])
        for name, percent in shares if is_new else ():
            RouteShare.objects.create(route=route, connection=found[name], percent=percent)


def api_key(partner: Partner) -> str:
    """A key with every right in the partner's API channel, as text to be shown once."""
    with in_partner(partner):
        _key, text = ApiKey.issue(
            Channel.objects.get(code="api"), Scope.values, name="Демо", actor="seed_demo"
        )
    return text


def staff() -> list[tuple[str, str, str]]:
    """Members of staff: login, password, who it is. A password that was changed stays changed."""
    for login, password, role, slug, _title in STAFF:
        user, is_new = User.objects.get_or_create(username=login, defaults={"is_staff": True})
        if is_new:
            user.set_password(password)
            user.save(update_fields=["password"])
        partner = Partner.objects.get(slug=slug) if slug else None
        StaffRole.objects.get_or_create(user=user, partner=partner, role=role)
    return [(login, password, title) for login, password, _role, _slug, title in STAFF]
