"""Signing in with a one-time code; sessions are opaque tokens in a cookie of one partner's host.

Everything here goes by the wall clock, and answers strangers exactly as it answers customers.
"""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

from apps import notifications
from apps.accounts import contacts, customers, recycled
from apps.accounts.models import Customer, CustomerSession, SignInCode
from apps.core import addresses, clock, throttle
from apps.core.errors import Refused
from apps.core.tenancy import current_partner_id

COOKIE = "armor_customer"
SESSION = timedelta(days=30)
CODE = timedelta(minutes=10)
CODES_AN_HOUR = 5
# A mobile network puts many customers behind one address.
CODES_TO_ADDRESS = throttle.Limit("accounts.codes", 30, timedelta(hours=1))
ATTEMPTS = 5
_LOCK = 7_410_001


def request_code(contact: str, *, address: str | None = None) -> None:
    """Sends a six-digit code to a customer's phone or e-mail; does the same but send for anybody else.

    Raises Refused: `bad_contact`, `bad_phone`, `bad_email`, or `too_many_codes` (429) at the sixth for one contact
    within an hour, and where the IP `address` has asked for too many in all.
    """
    phone, email = contacts.either(contact)
    digest, now = _digest(phone or email), clock.wall()
    with transaction.atomic():
        _lock(digest)
        SignInCode.objects.filter(created_at__lt=now - timedelta(days=1)).delete()
        recent = SignInCode.objects.filter(contact_digest=digest, created_at__gt=now - timedelta(hours=1))
        if recent.count() >= CODES_AN_HOUR:
            raise Refused("too_many_codes", _("Слишком много кодов подряд. Попробуйте через час"), status=429)
        if address:
            _count(address)
        sent = SignInCode(contact_digest=digest, created_at=now, expires_at=now + CODE)
        code = f"{secrets.randbelow(1_000_000):06d}"
        sent.code_hash = _code_hash(sent, code)
        sent.save()
        if customer := _customer(phone, email):
            notifications.send(
                "signin_code",
                to_phone=phone,
                to_email=email,
                customer_id=customer.pk,
                language=customer.language,
                context={"code": code, "minutes": int(CODE.total_seconds() // 60)},
                key=f"signin_code:{sent.pk}",
                expires_at=sent.expires_at,
            )


def verify(contact: str, code: str) -> str:
    """A new session's token for `remember`. Call it outside a transaction: a wrong try has to be kept.

    Raises Refused `wrong_code` for a wrong, old or used code, and after five tries.
    """
    phone, email = contacts.either(contact)
    with transaction.atomic(durable=True):
        token = _open_by_code(phone, email, "".join(code.split()))
    if token is None:
        raise Refused("wrong_code", _("Код не подошёл: проверьте его или запросите новый"), status=400)
    return token


def remember(response: HttpResponseBase, token: str) -> None:
    """Sets the cookie: host-only, out of reach of scripts, not sent along by other sites' forms."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=SESSION,
        httponly=True,
        samesite="Lax",
        secure=bool(settings.SESSION_COOKIE_SECURE),
    )


def start(response: HttpResponseBase, customer: Customer) -> None:
    """Signs a customer in who has proven themselves otherwise."""
    remember(response, _open(customer))


def customer_of(request: HttpRequest) -> Customer | None:
    """Who is signed in at the current partner; None for a stranger, an old or a foreign cookie."""
    known: Customer | None = getattr(request, "armor_customer", None)
    if known is not None:
        return known
    token = request.COOKIES.get(COOKIE, "")
    if not token or current_partner_id() is None:
        return None
    session = (
        CustomerSession.objects.filter(token_hash=_hash(token), expires_at__gt=clock.wall())
        .select_related("customer")
        .first()
    )
    if session is None or session.customer.erased_at:
        return None
    request.armor_customer = session.customer  # type: ignore[attr-defined]
    return session.customer


def leave(request: HttpRequest, response: HttpResponseBase) -> None:
    """Signs out: the session is gone from the database, the cookie from the browser."""
    if token := request.COOKIES.get(COOKIE, ""):
        CustomerSession.objects.filter(token_hash=_hash(token)).delete()
    request.armor_customer = None  # type: ignore[attr-defined]
    response.delete_cookie(COOKIE, samesite="Lax")


def _open_by_code(phone: str, email: str, code: str) -> str | None:
    digest, now = _digest(phone or email), clock.wall()
    sent = (
        SignInCode.objects.select_for_update()
        .filter(contact_digest=digest, used_at=None, expires_at__gt=now)
        .order_by("-created_at")
        .first()
    )
    if sent is None or sent.attempts >= ATTEMPTS:
        return None
    sent.attempts += 1
    customer = _customer(phone, email)
    is_right = constant_time_compare(sent.code_hash, _code_hash(sent, code))
    if is_right and customer is not None:
        sent.used_at = now
    sent.save()
    if not is_right or customer is None:
        return None
    if phone and recycled.is_stale(customer):
        # Whoever holds the number today may be another person: the former owner's cabinet stays shut.
        customer = customers.with_phone(phone, language=customer.language)
    elif phone:
        recycled.proved(customer)
    return _open(customer)


def _open(customer: Customer) -> str:
    token, now = secrets.token_urlsafe(32), clock.wall()
    CustomerSession.objects.filter(customer=customer, expires_at__lt=now).delete()
    CustomerSession.objects.create(
        customer=customer, token_hash=_hash(token), created_at=now, expires_at=now + SESSION
    )
    return token


def _customer(phone: str, email: str) -> Customer | None:
    wanted = {"phone": phone} if phone else {"email": email}
    return Customer.objects.filter(erased_at=None, **wanted).first()


def _count(address: str) -> None:
    """At all partners together: who pumps messages does not mind whose customers they go to."""
    throttle.take(
        [(CODES_TO_ADDRESS, addresses.household(address))],
        code="too_many_codes",
        message=_("Слишком много кодов с вашего адреса. Попробуйте через %(minutes)d мин."),
    )


def _lock(digest: str) -> None:
    """One request at a time per contact, so that six at once are not five each."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, digest])


def _digest(contact: str) -> str:
    return salted_hmac("accounts.contact", contact, algorithm="sha256").hexdigest()


def _code_hash(sent: SignInCode, code: str) -> str:
    return salted_hmac(f"accounts.code:{sent.pk}", code, algorithm="sha256").hexdigest()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
