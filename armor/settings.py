"""All settings; what differs between machines comes from the environment (docs/production.md lists it)."""

import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from armor import env

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("ARMOR_VAR", BASE_DIR / "var"))
TESTING = "pytest" in sys.modules
PRODUCTION = env.flag("ARMOR_PRODUCTION")
DEBUG = env.flag("ARMOR_DEBUG")
PORT = env.number("ARMOR_PORT", 8000)

# Keys. Development has fixed ones, production refuses to start without its own.
SECRET_KEY = os.environ.get("SECRET_KEY", "" if PRODUCTION else "development-only-" + "k" * 50)
# Personal data and credentials at rest (Fernet, newest first) and the HMAC behind the search box.
ENCRYPTION_KEYS = env.words("ARMOR_ENCRYPTION_KEYS", "" if PRODUCTION else "x" * 42 + "w=")
SEARCH_KEY = os.environ.get("ARMOR_SEARCH_KEY", "" if PRODUCTION else "development-search-key")
if PRODUCTION and not (SECRET_KEY and ENCRYPTION_KEYS and SEARCH_KEY):
    raise ImproperlyConfigured("Production needs SECRET_KEY, ARMOR_ENCRYPTION_KEYS and ARMOR_SEARCH_KEY")

# Hosts: the public one is the operator's; partners are its subdomains (or own domains).
PUBLIC_HOST = os.environ.get("ARMOR_PUBLIC_HOST", "localhost")
PUBLIC_SCHEME = os.environ.get("ARMOR_PUBLIC_SCHEME", "https" if PRODUCTION else "http")
PUBLIC_PORT = os.environ.get("ARMOR_PUBLIC_PORT", "" if PRODUCTION else str(PORT))
# Whose X-Forwarded-For is believed: addresses and networks of our own proxies.
TRUSTED_PROXIES = env.networks("ARMOR_TRUSTED_PROXIES", "" if PRODUCTION else "127.0.0.0/8,::1")
# The tenant middleware answers only hosts with a Domain row, so Django's own list stays open.
ALLOWED_HOSTS = ["*"]

PUBLIC_SCHEMA_NAME = "public"
TEMPLATE_SCHEMA_NAME = "template"

SHARED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.import_export",
    "django_tenants",
    "apps.core",
    "apps.journal",
    "apps.partners",
    "apps.connectors",
    "apps.policies",
    "apps.catalog",
    "apps.providers",
    "apps.ledger",
    "apps.settlements",
    "apps.reports",
    "apps.demo",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_celery_beat",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "import_export",
]
TENANT_APPS = [
    "apps.journal",
    "apps.accounts",
    "apps.notifications",
    "apps.payments",
    "apps.billing",
    "apps.orders",
    "apps.storefronts",
    "apps.channels",
    "apps.callcenters",
]
# Its pages come with the first addresses of a console (apps/core/console.py), not with every process.
_WITHOUT_PAGES = {"django.contrib.admin": "django.contrib.admin.apps.SimpleAdminConfig"}
INSTALLED_APPS = [_WITHOUT_PAGES.get(app, app) for app in dict.fromkeys(SHARED_APPS + TENANT_APPS)]

TENANT_MODEL = "partners.Partner"
TENANT_DOMAIN_MODEL = "partners.Domain"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
SHOW_PUBLIC_IF_NO_TENANT_FOUND = False
ROOT_URLCONF = "armor.urls_partner"
PUBLIC_SCHEMA_URLCONF = "armor.urls_public"
# The path is set once after it changed, not before each query. A rollback takes SET back: the backend then sets it anew
# (tests/partners/test_search_path.py), and it is cleared on the way back to the pool.
TENANT_LIMIT_SET_CALLS = True

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.partners.middleware.PartnerMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.partners.middleware.StaffMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ]
        },
    }
]
WSGI_APPLICATION = "armor.wsgi.application"

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/armor")
_database = env.database(DATABASE_URL)
DATABASES = {
    "default": {
        "ENGINE": "armor.database",
        **_database,
        "CONN_MAX_AGE": 0,
        "ATOMIC_REQUESTS": False,
        "OPTIONS": {
            **_database["OPTIONS"],
            "application_name": "armor",
            # Milliseconds: nothing else would tell for a quarter of an hour that a host has vanished.
            "tcp_user_timeout": 30_000,
            # A connection keeps the catalogue of every partner it has touched: recycle it before that weighs.
            "pool": {
                "min_size": 1,
                "max_size": env.number("ARMOR_DB_POOL", 12),
                "max_lifetime": env.number("ARMOR_DB_MAX_LIFETIME", 900),
                "timeout": env.number("ARMOR_DB_WAIT", 30),
            },
        },
        "TEST": {"MIGRATE": True},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation." + name}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
SESSION_COOKIE_NAME = "armor_staff"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_NAME = "armor_csrf"
CSRF_FAILURE_VIEW = "apps.core.errors.csrf_failure"
if PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = env.flag("ARMOR_SSL_REDIRECT", True)
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^internal/"]
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True

LANGUAGE_CODE = "ru"
LANGUAGES = [("ru", _("Русский")), ("en", _("Английский"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = "Europe/Moscow"
# What the filters of lists read: days as people write them, and as links do.
DATE_INPUT_FORMATS = ["%d.%m.%Y", "%Y-%m-%d"]

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = not PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
MEDIA_URL = "/media/"
MEDIA_ROOT = VAR_DIR / "media"

# Celery only wakes: what is true stands in our tables.
BROKER_URL = os.environ.get("BROKER_URL", "")
BROKER_QUEUE = os.environ.get("ARMOR_QUEUE", "armor")
BROKER_LANES_QUEUE = f"{BROKER_QUEUE}_lanes"
# Seconds for which what a dead worker had in hand is left alone; each longer than any call outside (20 s).
LEASE_SECONDS = env.number("ARMOR_LEASE_SECONDS", 180)
IN_FLIGHT_SECONDS = env.number("ARMOR_IN_FLIGHT_SECONDS", 45)
# Above so many subscriptions, or roubles, a mass action takes a second person.
MASS_ACTION_ROWS = env.number("ARMOR_MASS_ACTION_ROWS", 100)
MASS_ACTION_SUM = env.number("ARMOR_MASS_ACTION_SUM", 50_000)
# For so long an order whose day has come waits for a product that is not sold for a while.
SCHEDULED_ORDER_DAYS = env.number("ARMOR_SCHEDULED_ORDER_DAYS", 3)
# After so many minutes those on duty are told of what waits for a person.
STAFF_WAIT_MINUTES = env.number("ARMOR_STAFF_WAIT_MINUTES", 60)
# A shift that nobody has ended is over by itself: letters go to everybody again.
SHIFT_HOURS = env.number("ARMOR_SHIFT_HOURS", 12)
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.channels.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["apps.core.api.HasScope"],
    "DEFAULT_PAGINATION_CLASS": "apps.core.api.CursorPages",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "apps.core.api_schema.Described",
    "EXCEPTION_HANDLER": "apps.core.api.problem",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "ARMOR API",
    "DESCRIPTION": _(
        "Продажа цифровых продуктов по подписке: предложения, клиенты, заказы, подписки, счета."
    ),
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": [],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "SubscriptionStateEnum": "apps.billing.models.SubscriptionState",
        "PaymentStateEnum": "apps.payments.models.PaymentState",
        "OrderStateEnum": "apps.orders.models.OrderState",
        "ServiceStateEnum": "apps.orders.models.ServiceState",
        "ParameterKindEnum": "apps.catalog.parameters.Kind",
        "MassActionKindEnum": "apps.billing.mass.models.MassKind",
    },
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums"],
}

# Everything outside is plugged in through a connector; a wrong path is refused at start.
CONNECTORS = [
    "apps.payments.yookassa.YooKassa",
    "apps.payments.tbank.TBank",
    "apps.payments.cloudpayments.CloudPayments",
    "apps.payments.robokassa.Robokassa",
    "apps.payments.atol.Atol",
    "apps.billing.partner_service.PartnerService",
    "apps.providers.key_pool.KeyPool",
    "apps.providers.http_provider.HttpProvider",
    "apps.providers.declarative.connector.DeclarativeProvider",
    "apps.providers.portal.by_letter.ByLetter",
    "apps.notifications.smtp.Smtp",
    "apps.notifications.sms_aero.SmsAero",
    "apps.callcenters.incoming.IncomingCalls",
]
# A phone that its customer has not proven for so long may be somebody else's, and opens nothing of theirs.
PHONE_PROOF_MONTHS = env.number("ARMOR_PHONE_PROOF_MONTHS", 12)
# Simulators live on loopback; elsewhere a connection never calls a private address.
ALLOW_PRIVATE_ADDRESSES = env.flag("ARMOR_ALLOW_PRIVATE_ADDRESSES", not PRODUCTION)
SANDBOX_URLS = {
    name: os.environ.get(f"ARMOR_{name.upper()}_URL", "")
    for name in (
        *("yookassa", "tbank", "cloudpayments", "robokassa", "atol", "partner"),
        *("smsaero", "provider", "mailbox"),
    )
}
# Where the process that takes messages is reached from here, if there is one; from outside, the proxy leads to it.
INTAKE_URL = os.environ.get("ARMOR_INTAKE_URL", "")
SANDBOX_SMTP_PORT = env.number("ARMOR_SMTP_PORT", 1025)
DEFAULT_FROM_EMAIL = os.environ.get("ARMOR_FROM_EMAIL", "noreply@" + PUBLIC_HOST)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"masked": {"()": "armor.logs.Masked"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["masked"]}},
    "root": {"handlers": ["console"], "level": os.environ.get("ARMOR_LOG_LEVEL", "INFO")},
    "loggers": {"httpx": {"level": "WARNING"}, "django_tenants": {"level": "WARNING"}},
}

UNFOLD = {
    "SITE_TITLE": "ARMOR",
    "SITE_HEADER": "ARMOR",
    "SITE_SYMBOL": "shield",
    "SITE_SUBHEADER": "apps.reports.navigation.whose",
    "SITE_DROPDOWN": "apps.reports.navigation.switcher",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "STYLES": ["apps.reports.navigation.styles"],
    "SCRIPTS": ["apps.reports.navigation.scripts"],
    "DASHBOARD_CALLBACK": "apps.reports.dashboard.dashboard",
    "SIDEBAR": {"show_search": False, "navigation": "apps.reports.navigation.navigation"},
    "COLORS": {
        "primary": {
            "50": "239 246 255",
            "100": "219 234 254",
            "200": "191 219 254",
            "300": "147 197 253",
            "400": "96 165 250",
            "500": "59 130 246",
            "600": "37 99 235",
            "700": "29 78 216",
            "800": "30 64 175",
            "900": "30 58 138",
            "950": "23 37 84",
        }
    },
}
IMPORT_EXPORT_USE_TRANSACTIONS = True
