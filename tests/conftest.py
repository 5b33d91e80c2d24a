"""Fixtures for every test: partners of their own, really committed data, simulators as processes."""

import gc
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings
from django.test.client import ClientHandler
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis

from apps.core import console
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner, in_public
from apps.partners import schemas
from apps.partners.models import LegalEntity, Partner, StaffRole
from apps.partners.services import create_partner
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests import browser, recycled
from tests.crossing import thinned

_numbers = itertools.count(1)
_made: list[Partner] = []
pytest_plugins = ["tests.orders.fixtures"]
# A busy machine may be slow for a second: no test is about that.
hypothesis.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.load_profile("suite")


LONGEST = (
    "test_kills.py",
    "isolation/test_console.py",
    "payments/test_browser_gateways.py",
    "demo/test_commands.py",
    "billing/test_payouts.py",
    "settlements/test_month.py",
    "isolation/test_threads.py",
    "providers/test_connected_in_browser.py",
    "test_hostile_addresses.py",
    "test_crash_points.py",
    "payments/test_gateway_receipts.py",
    "ground/test_broker.py",
    "billing/test_mass.py",
    "demo/test_friday.py",
    "texts/test_english.py",
    "billing/test_promotions.py",
    "billing/test_price_changes.py",
    "isolation/test_routes.py",
    "payments/test_receipts.py",
    "isolation/test_operator.py",
    "reports/test_console.py",
    "test_audit.py",
    "test_browser_walk.py",
    "settlements/test_browser.py",
    "storefronts/test_ways.py",
)
"""A file is one process's work (--dist loadfile): what takes minutes begins first, or all would wait for it at last."""


def pytest_configure() -> None:
    """Tests look at the consoles' pages before any address is asked for."""
    console.fill()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files first, without what is left to the soak."""
    items[:], left = thinned(items)
    config.hook.pytest_deselected(items=left)
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """What is loaded by now stays: to look through it for garbage again and again takes a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """The database is there already (tests/database.py)."""


@pytest.fixture(autouse=True, scope="session")
def _database(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    # A password is hashed slowly on purpose: half a second of each test in which somebody signs in.
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with (
        django_db_blocker.unblock(),
        pytest.MonkeyPatch.context() as patch,
        override_settings(PASSWORD_HASHERS=hashers),
    ):
        patch.setattr(schemas, "build", recycled.build)
        patch.setattr(Control, "_call", _remember(Control._call))
        patch.setattr(ClientHandler, "load_middleware", _load_once(ClientHandler.load_middleware))
        yield


@pytest.fixture(autouse=True)
def _public() -> Iterator[None]:
    """Every test starts in the public schema, in Russian: a page for an English reader leaves its language behind.

    Partners that it makes are given back; those of a module's fixtures are made before, and stay.
    """
    connection.set_schema_to_public()
    translation.activate("ru")
    before = len(_made)
    yield
    connection.set_schema_to_public()
    while len(_made) > before:
        recycled.give_back(_made.pop())


@pytest.fixture(scope="session")
def operator(_database: None) -> LegalEntity:
    """The operator's legal entity."""
    with in_public():
        entity, _ = LegalEntity.objects.get_or_create(
            is_operator=True, defaults={"name": "ООО «Платформа»", "inn": "7707083893", "kpp": "770701001"}
        )
    return entity


def make_partner(**options: Any) -> Partner:
    """A new partner with a name of its own; with `slug`, where another process makes partners as well."""
    number = next(_numbers)
    slug = options.pop("slug", f"partner-{number}")
    made = create_partner(slug=slug, name=options.pop("name", f"Партнёр {number}"), **options)
    _made.append(made)
    return made


@pytest.fixture(scope="session")
def _browser() -> Iterator[browser.Kept]:
    kept = browser.Kept()
    yield kept
    kept.close()


@pytest.fixture(scope="module")
def chromium(_browser: browser.Kept) -> Iterator[Any]:
    """A headless browser."""
    with _browser.lent() as found:
        yield found


@pytest.fixture
def partner(operator: LegalEntity) -> Iterator[Partner]:
    """A fresh partner, current for the test."""
    with in_partner(make_partner()) as made:
        yield made


@pytest.fixture
def sandbox_partner(operator: LegalEntity) -> Iterator[Partner]:
    """A fresh sandbox partner with a clock of its own, current for the test."""
    with in_partner(make_partner(is_sandbox=True)) as made:
        yield made


@pytest.fixture
def deliver() -> Callable[[], int]:
    """Delivers events and does the wall-clock work of the current partner until nothing is left."""

    def run() -> int:
        partner_id = connection.tenant.pk if getattr(connection.tenant, "pk", None) else None
        total = 0
        for _ in range(100):
            tried = run_once(partner_id=partner_id)
            total += tried
            if not tried:
                return total
        raise AssertionError("Work does not come to an end")

    return run


def backends() -> int:
    """Connections that this database has now, whoever holds them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


@pytest.fixture
def move_clock(deliver: Callable[[], int]) -> Callable[[Partner, datetime], None]:
    """Moves a sandbox partner's clock step by step, each step's work done before the next."""
    from apps.partners.clock import move

    def run(partner: Partner, moment: datetime) -> None:
        with in_partner(partner):
            move(partner, moment, settle=deliver)

    return run


def _load_once(load: Callable[..., None]) -> Callable[..., None]:
    """A client loads its middleware with its first request, and whitenoise looks at every file: once is enough."""
    loaded: dict[tuple[str, ...], dict[str, Any]] = {}

    def run(handler: ClientHandler, is_async: bool = False) -> None:
        chain = tuple(settings.MIDDLEWARE)
        if chain not in loaded:
            before = set(vars(handler))
            load(handler, is_async)
            loaded[chain] = {name: value for name, value in vars(handler).items() if name not in before}
        vars(handler).update(loaded[chain])

    return run


class HostClient(Client):
    """Django's test client, which leaves the test's own partner current: a request ends in the public schema."""

    def request(self, **request: Any) -> Any:
        before = connection.tenant
        try:
            return super().request(**request)
        finally:
            connection.set_tenant(before)


@pytest.fixture
def client_for() -> Callable[..., Client]:
    """A Django test client on a partner's host, or on the operator's."""

    def make(partner: Partner | None = None, **headers: Any) -> Client:
        host = partner.host if partner else settings.PUBLIC_HOST
        return HostClient(SERVER_NAME=host, raise_request_exception=False, headers=headers or None)

    return make


@pytest.fixture
def staff_client(client_for: Callable[..., Client]) -> Callable[..., Client]:
    """A client signed in on a host with a role of one partner (`of`) or of the platform."""

    def make(partner: Partner | None = None, *, role: str = "admin", of: Partner | None = None) -> Client:
        with in_public():
            user = User.objects.create_user(f"staff-{next(_numbers)}", is_staff=True)
            StaffRole.objects.create(user=user, partner=of, role=role)
        client = client_for(partner)
        client.force_login(user)
        session = client.session
        session["host"] = client.defaults["SERVER_NAME"]
        session.save()
        return client

    return make


def eventually(check: Callable[[], Any], *, seconds: float = 60, pause: float = 0.05) -> Any:
    """Polls until `check()` is true and gives its value; `pause` seconds lie between, more where a look costs much."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("It did not happen in time")
        time.sleep(pause)


def _simulator(name: str, tmp: Any) -> Iterator[Simulator]:
    with Simulator(name, state=Path(tmp.mktemp(name))) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def yookassa_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("yookassa", tmp_path_factory)


@pytest.fixture(scope="session")
def tbank_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("tbank", tmp_path_factory)


@pytest.fixture(scope="session")
def cloudpayments_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("cloudpayments", tmp_path_factory)


@pytest.fixture(scope="session")
def robokassa_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("robokassa", tmp_path_factory)


@pytest.fixture(scope="session")
def atol_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("atol", tmp_path_factory)


@pytest.fixture(scope="session")
def partner_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("partner", tmp_path_factory)


@pytest.fixture(scope="session")
def smsaero_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("smsaero", tmp_path_factory)


@pytest.fixture(scope="session")
def provider_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("provider", tmp_path_factory)


@pytest.fixture(scope="session")
def foreign_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("foreign", tmp_path_factory)


@pytest.fixture(scope="session")
def mailbox_process(tmp_path_factory: Any) -> Iterator[Simulator]:
    yield from _simulator("mailbox", tmp_path_factory)


_hands: dict[str, Control] = {}
_touched: set[str] = set()
"""Simulators that somebody, by whatever hands, has planned something for since they were cleared."""


def _remember(call: Callable[..., Any]) -> Callable[..., Any]:
    def run(control: Control, method: str, path: str, *args: Any, **options: Any) -> Any:
        if method != "GET" and path in {"/_control/faults", "/_control/switch", "/_control/clock"}:
            _touched.add(control.base_url)
        return call(control, method, path, *args, **options)

    return run


def _control(process: Simulator) -> Iterator[Control]:
    """Every test finds a simulator as it was started; of what nobody has touched it is not asked."""
    control = _hands.get(process.url) or _hands.setdefault(process.url, Control(process.url))
    _untouched(control)
    yield control
    _untouched(control)


def _untouched(control: Control) -> None:
    if control.base_url in _touched:
        control.clear()
        control.set_clock(None)
        _touched.discard(control.base_url)


@pytest.fixture
def yookassa(yookassa_process: Simulator) -> Iterator[Control]:
    """The YooKassa simulator's controls, without planned faults."""
    yield from _control(yookassa_process)


@pytest.fixture
def tbank(tbank_process: Simulator) -> Iterator[Control]:
    """The T-Bank simulator's controls, without planned faults."""
    yield from _control(tbank_process)


@pytest.fixture
def cloudpayments(cloudpayments_process: Simulator) -> Iterator[Control]:
    """The CloudPayments simulator's controls, without planned faults."""
    yield from _control(cloudpayments_process)


@pytest.fixture
def robokassa(robokassa_process: Simulator) -> Iterator[Control]:
    """The Robokassa simulator's controls, without planned faults."""
    yield from _control(robokassa_process)


@pytest.fixture
def atol(atol_process: Simulator) -> Iterator[Control]:
    """The ATOL simulator's controls, without planned faults."""
    yield from _control(atol_process)


@pytest.fixture
def partner_sim(partner_process: Simulator) -> Iterator[Control]:
    """The controls of a partner's own billing, without planned faults."""
    yield from _control(partner_process)


@pytest.fixture
def foreign(foreign_process: Simulator) -> Iterator[Control]:
    """The controls of three foreign providers, without planned faults."""
    yield from _control(foreign_process)


@pytest.fixture
def smsaero(smsaero_process: Simulator) -> Iterator[Control]:
    yield from _control(smsaero_process)


@pytest.fixture
def provider_sim(provider_process: Simulator) -> Iterator[Control]:
    yield from _control(provider_process)


@pytest.fixture
def mailbox(mailbox_process: Simulator) -> Iterator[Control]:
    yield from _control(mailbox_process)
