"""Every address, task and command with example arguments: what is not listed here fails the suite.

In a path, `{order}` and the like are ids of the house that is asked about. `own` is what its owner is answered.
"""

from dataclasses import dataclass
from typing import Any

ANYONE, KEY, CUSTOMER, STAFF = "anyone", "key", "customer", "staff"
SAID_NO = frozenset({302, 401, 403, 404, 405})
"""What a stranger is answered; 302 leads to a sign-in page."""


@dataclass(frozen=True)
class Route:
    """One address: who may ask, how, and what the owner is answered."""

    path: str
    who: str = ANYONE
    own: int = 200
    method: str = "get"
    data: Any = None
    tells: bool = False
    """Whether the owner's answer holds the word planted at its house: then a leak could be seen there."""

    @property
    def names_an_object(self) -> bool:
        """Whether the address holds an id that only its partner may use."""
        return "{" in self.path


PARTNER: dict[str, Route] = {
    "api/v1/^offers/$": Route("/api/v1/offers/", KEY, tells=True),
    "api/v1/^offers/(?P<pk>[^/.]+)/$": Route("/api/v1/offers/{offer}/", KEY, tells=True),
    "api/v1/^customers/$": Route("/api/v1/customers/", KEY, tells=True),
    "api/v1/^customers/(?P<pk>[^/.]+)/$": Route("/api/v1/customers/{customer}/", KEY, tells=True),
    "api/v1/^customers/(?P<pk>[^/.]+)/contact-codes/$": Route(
        "/api/v1/customers/{customer}/contact-codes/",
        KEY,
        method="post",
        data={"contact": "+79161119998"},
    ),
    "api/v1/^customers/phone-reassigned/$": Route(
        "/api/v1/customers/phone-reassigned/", KEY, method="post", data={"phone": "+79161119999"}
    ),
    "api/v1/^orders/$": Route("/api/v1/orders/", KEY, tells=True),
    "api/v1/^questions/$": Route("/api/v1/questions/", KEY, tells=True),
    "api/v1/^questions/(?P<pk>[^/.]+)/$": Route("/api/v1/questions/{asked_service}/", KEY, tells=True),
    "api/v1/^questions/(?P<pk>[^/.]+)/answer/$": Route(
        "/api/v1/questions/{asked_service}/answer/",
        KEY,
        own=400,
        method="post",
        data={"answers": {"policy": "много"}},
    ),
    "api/v1/^fulfilments/(?P<pk>[^/.]+)/heard/$": Route(
        "/api/v1/fulfilments/{fulfilment}/heard/", KEY, own=409, method="post", data={}
    ),
    "api/v1/^orders/bulk/$": Route(
        "/api/v1/orders/bulk/",
        KEY,
        method="post",
        data={"orders": [{"offer": 999999999, "customer": {"external_id": "client-1042"}}]},
    ),
    "api/v1/^orders/instruments/$": Route("/api/v1/orders/instruments/?offer={offer}", KEY),
    "api/v1/^orders/(?P<pk>[^/.]+)/$": Route("/api/v1/orders/{order}/", KEY, tells=True),
    # It is delivered already: its own key is told so.
    "api/v1/^orders/(?P<pk>[^/.]+)/confirm/$": Route(
        "/api/v1/orders/{order}/confirm/", KEY, method="post", data={}, own=409
    ),
    "api/v1/^orders/(?P<pk>[^/.]+)/cancel/$": Route(
        "/api/v1/orders/{order}/cancel/", KEY, method="post", data={}, own=409
    ),
    "api/v1/^services/$": Route("/api/v1/services/", KEY, tells=True),
    "api/v1/^services/(?P<pk>[^/.]+)/$": Route("/api/v1/services/{service}/", KEY, tells=True),
    "api/v1/^subscriptions/$": Route("/api/v1/subscriptions/", KEY, tells=True),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/$": Route("/api/v1/subscriptions/{subscription}/", KEY, tells=True),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/preview/$": Route(
        "/api/v1/subscriptions/{subscription}/preview/", KEY
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/cancel/$": Route(
        "/api/v1/subscriptions/{subscription}/cancel/", KEY, method="post", data={}
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/resume/$": Route(
        "/api/v1/subscriptions/{subscription}/resume/", KEY, method="post", data={}
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/preview-change/$": Route(
        "/api/v1/subscriptions/{subscription}/preview-change/", KEY, method="post", data={"quantity": 2}
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/change/$": Route(
        "/api/v1/subscriptions/{subscription}/change/",
        KEY,
        method="post",
        data={"quantity": 2, "when": "period_end"},
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/undo-change/$": Route(
        "/api/v1/subscriptions/{subscription}/undo-change/", KEY, method="post", data={}
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/pause/$": Route(
        "/api/v1/subscriptions/{subscription}/pause/",
        KEY,
        own=400,
        method="post",
        data={"until": "2000-01-01"},
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/end-date/$": Route(
        "/api/v1/subscriptions/{subscription}/end-date/", KEY, method="post", data={"end_date": None}
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/transfer/$": Route(
        "/api/v1/subscriptions/{subscription}/transfer/",
        KEY,
        own=404,
        method="post",
        data={"customer": "00000000-0000-0000-0000-000000000000"},
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/promo-code/$": Route(
        "/api/v1/subscriptions/{subscription}/promo-code/", KEY, own=404, method="post", data={"code": "NO"}
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/retention/$": Route(
        "/api/v1/subscriptions/{subscription}/retention/", KEY
    ),
    "api/v1/^promo-codes/(?P<code>[^/]{1,60})/$": Route(
        "/api/v1/promo-codes/{promo_code}/?offer={offer}", KEY, tells=True
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/release-seat/$": Route(
        "/api/v1/subscriptions/{subscription}/release-seat/",
        KEY,
        own=409,
        method="post",
        data={"position": 99},
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/seats/$": Route("/api/v1/subscriptions/{subscription}/seats/", KEY),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/history/$": Route(
        "/api/v1/subscriptions/{subscription}/history/", KEY
    ),
    "api/v1/^subscriptions/(?P<pk>[^/.]+)/dunning/$": Route(
        "/api/v1/subscriptions/{subscription}/dunning/", KEY
    ),
    "api/v1/^invoices/(?P<pk>[^/.]+)/dunning/$": Route("/api/v1/invoices/{invoice}/dunning/", KEY),
    # It is paid already.
    "api/v1/^invoices/(?P<pk>[^/.]+)/pay-link/$": Route("/api/v1/invoices/{invoice}/pay-link/", KEY, own=409),
    "api/v1/^payments/$": Route("/api/v1/payments/", KEY),
    "api/v1/^payments/(?P<pk>[^/.]+)/$": Route("/api/v1/payments/{payment}/", KEY),
    "api/v1/^payments/(?P<pk>[^/.]+)/capture/$": Route(
        "/api/v1/payments/{payment}/capture/", KEY, own=409, method="post", data={}
    ),
    "api/v1/^payments/(?P<pk>[^/.]+)/void/$": Route(
        "/api/v1/payments/{payment}/void/", KEY, own=409, method="post", data={}
    ),
    "api/v1/^payment-methods/$": Route("/api/v1/payment-methods/", KEY),
    "api/v1/^payment-methods/(?P<pk>[^/.]+)/$": Route("/api/v1/payment-methods/{method}/", KEY),
    "api/v1/^payment-methods/(?P<pk>[^/.]+)/refuse/$": Route(
        "/api/v1/payment-methods/{method}/refuse/", KEY, own=400, method="post", data={"ip": "nowhere"}
    ),
    "api/v1/^refunds/$": Route("/api/v1/refunds/", KEY, tells=True),
    "api/v1/^refunds/(?P<pk>[^/.]+)/$": Route("/api/v1/refunds/{refund}/", KEY, tells=True),
    "api/v1/^disputes/$": Route("/api/v1/disputes/", KEY, tells=True),
    "api/v1/^disputes/(?P<pk>[^/.]+)/$": Route("/api/v1/disputes/{dispute}/", KEY, tells=True),
    "api/v1/^invoices/$": Route("/api/v1/invoices/", KEY, tells=True),
    "api/v1/^invoices/(?P<pk>[^/.]+)/$": Route("/api/v1/invoices/{invoice}/", KEY, tells=True),
    "api/v1/^invoices/(?P<pk>[^/.]+)/pdf/$": Route("/api/v1/invoices/{invoice}/pdf/", KEY, tells=True),
    "api/v1/^statements/(?P<pk>[^/.]+)/$": Route("/api/v1/statements/{customer}/", KEY),
    "api/v1/^statements/(?P<pk>[^/.]+)/xlsx/$": Route("/api/v1/statements/{customer}/xlsx/", KEY),
    "api/v1/^statements/(?P<pk>[^/.]+)/pdf/$": Route("/api/v1/statements/{customer}/pdf/", KEY),
    "api/v1/^balances/(?P<pk>[^/.]+)/$": Route("/api/v1/balances/{customer}/", KEY),
    "api/v1/^balances/(?P<pk>[^/.]+)/pay-out/$": Route(
        "/api/v1/balances/{customer}/pay-out/", KEY, own=400, method="post", data={"amount": "0"}
    ),
    "api/v1/partner-statement/": Route("/api/v1/partner-statement/", KEY),
    "api/v1/recovery/": Route("/api/v1/recovery/", KEY),
    "api/v1/clock/": Route("/api/v1/clock/", KEY),
    "api/v1/^credit-notes/$": Route("/api/v1/credit-notes/", KEY),
    "api/v1/^credit-notes/(?P<pk>[^/.]+)/$": Route("/api/v1/credit-notes/{note}/", KEY),
    "api/v1/^credit-notes/(?P<pk>[^/.]+)/pdf/$": Route("/api/v1/credit-notes/{note}/pdf/", KEY, tells=True),
    "api/v1/^documents/$": Route("/api/v1/documents/", KEY, tells=True),
    "api/v1/^documents/(?P<pk>[^/.]+)/$": Route("/api/v1/documents/{document}/", KEY, tells=True),
    "api/v1/^documents/(?P<pk>[^/.]+)/pdf/$": Route("/api/v1/documents/{document}/pdf/", KEY, tells=True),
    "api/v1/^invoices/(?P<pk>[^/.]+)/send/$": Route(
        "/api/v1/invoices/{invoice}/send/", KEY, own=400, method="post", data={"to": "nowhere"}
    ),
    "api/v1/^credit-notes/(?P<pk>[^/.]+)/send/$": Route(
        "/api/v1/credit-notes/{note}/send/", KEY, own=400, method="post", data={"to": "nowhere"}
    ),
    "api/v1/^documents/(?P<pk>[^/.]+)/send/$": Route(
        "/api/v1/documents/{document}/send/", KEY, own=400, method="post", data={"to": "nowhere"}
    ),
    "api/v1/^base-imports/$": Route("/api/v1/base-imports/", KEY, tells=True),
    "api/v1/^base-imports/gateways/$": Route("/api/v1/base-imports/gateways/", KEY),
    "api/v1/^base-imports/(?P<pk>[^/.]+)/$": Route("/api/v1/base-imports/{base}/", KEY, tells=True),
    "api/v1/^base-imports/(?P<pk>[^/.]+)/doubts/$": Route(
        "/api/v1/base-imports/{base}/doubts/", KEY, tells=True
    ),
    "api/v1/^base-imports/(?P<pk>[^/.]+)/load/$": Route(
        "/api/v1/base-imports/{base}/load/", KEY, own=409, method="post", data={}
    ),
    "api/v1/^base-rows/$": Route("/api/v1/base-rows/", KEY),
    "api/v1/^shadow-runs/$": Route("/api/v1/shadow-runs/", KEY, tells=True),
    "api/v1/^shadow-runs/(?P<pk>[^/.]+)/$": Route("/api/v1/shadow-runs/{shadow}/", KEY, tells=True),
    "api/v1/^shadow-runs/(?P<pk>[^/.]+)/differences/$": Route(
        "/api/v1/shadow-runs/{shadow}/differences/", KEY, tells=True
    ),
    "api/v1/^base-batches/$": Route("/api/v1/base-batches/", KEY, tells=True),
    "api/v1/^base-batches/(?P<pk>[^/.]+)/$": Route("/api/v1/base-batches/{batch}/", KEY, tells=True),
    "api/v1/^base-batches/(?P<pk>[^/.]+)/undo/$": Route(
        "/api/v1/base-batches/{batch}/undo/", KEY, own=409, method="post", data={}
    ),
    "api/v1/^charge-requests/$": Route("/api/v1/charge-requests/", KEY),
    "api/v1/^charge-requests/(?P<pk>[^/.]+)/$": Route("/api/v1/charge-requests/{request}/", KEY),
    "api/v1/^charge-requests/(?P<pk>[^/.]+)/charged/$": Route(
        "/api/v1/charge-requests/{request}/charged/",
        KEY,
        own=409,
        method="post",
        data={"amount": "1.00", "paid_date": "2026-01-01", "reference": "x"},
    ),
    "api/v1/^charge-requests/(?P<pk>[^/.]+)/refused/$": Route(
        "/api/v1/charge-requests/{request}/refused/", KEY, own=400, method="post", data={}
    ),
    "api/v1/^collection-reports/$": Route("/api/v1/collection-reports/", KEY, tells=True),
    "api/v1/^collection-reports/(?P<pk>[^/.]+)/$": Route(
        "/api/v1/collection-reports/{report}/", KEY, tells=True
    ),
    "cabinet/account/": Route("/cabinet/account/?format=xlsx", CUSTOMER),
    "cabinet/documents/by-mail/": Route(
        "/cabinet/documents/by-mail/", CUSTOMER, own=302, method="post", data={"wants": "no"}
    ),
    "cabinet/documents/<uuid:document_id>/send/": Route(
        "/cabinet/documents/{document}/send/", CUSTOMER, own=302, method="post", data={}
    ),
    "cabinet/documents/<uuid:document_id>.pdf": Route(
        "/cabinet/documents/{document}.pdf", CUSTOMER, tells=True
    ),
    # It is another customer's here too: of the company.
    "cabinet/credit-notes/<uuid:note_id>.pdf": Route("/cabinet/credit-notes/{note}.pdf", CUSTOMER, own=404),
    "api/v1/^mass-actions/$": Route("/api/v1/mass-actions/", KEY, tells=True),
    "api/v1/^mass-actions/(?P<pk>[^/.]+)/$": Route("/api/v1/mass-actions/{mass}/", KEY, tells=True),
    "api/v1/^mass-actions/(?P<pk>[^/.]+)/rows/$": Route("/api/v1/mass-actions/{mass}/rows/", KEY),
    # It is over.
    "api/v1/^mass-actions/(?P<pk>[^/.]+)/confirm/$": Route(
        "/api/v1/mass-actions/{mass}/confirm/", KEY, own=409, method="post", data={}
    ),
    "api/v1/^mass-actions/(?P<pk>[^/.]+)/drop/$": Route(
        "/api/v1/mass-actions/{mass}/drop/", KEY, own=409, method="post", data={}
    ),
    "api/schema/": Route("/api/schema/"),
    "api/docs/": Route("/api/docs/"),
    "api/docs/problems": Route("/api/docs/problems"),
    "i18n/setlang/": Route("/i18n/setlang/", own=302, method="post", data={"language": "ru"}),
    "language/": Route("/language/", own=302, method="post", data={"language": "ru"}),
    # A channel's code is the same word at every partner, and names its own channel at each.
    "feeds/<slug:code>.yml": Route("/feeds/web.yml", tells=True),
    "": Route("/", tells=True),
    "product/<str:code>/": Route("/product/{product}/", tells=True),
    # The products of the houses have none; tests/storefronts/test_pictures.py has.
    "product/<str:code>/picture": Route("/product/{product}/picture", own=404),
    # The products of the houses have none; tests/storefronts/test_product.py has.
    "product/<str:code>/documents/<slug:kind>/": Route("/product/{product}/documents/offer/", own=404),
    # Tokens are signed by the partner; tests/billing/test_price_changes.py has both.
    "price/<str:token>/": Route("/price/nobody/", own=404),
    # Tokens are random and kept as hashes; tests/payments/test_bank_payouts.py has both.
    "payout/<str:token>/": Route("/payout/nobody/", own=404),
    # Tokens are signed by the partner; tests/billing/test_pay_links.py has both.
    "p/<str:token>/": Route("/p/nobody/", own=404),
    "legal/<slug:kind>/": Route("/legal/terms/"),
    "theme.css": Route("/theme.css"),
    "logo": Route("/logo"),
    "favicon.ico": Route("/favicon.ico"),
    "checkout/<int:offer_id>/": Route("/checkout/{offer}/", tells=True),
    "pay/<uuid:order_id>/": Route("/pay/{order}/", CUSTOMER, own=302),
    "thanks/<uuid:order_id>/": Route("/thanks/{order}/", CUSTOMER, tells=True),
    "thanks/<uuid:order_id>/state/": Route("/thanks/{order}/state/", CUSTOMER),
    "cabinet/": Route("/cabinet/", CUSTOMER, tells=True),
    "cabinet/sign-in/": Route("/cabinet/sign-in/"),
    "cabinet/code/": Route("/cabinet/code/", own=302),
    "cabinet/contacts/": Route("/cabinet/contacts/", CUSTOMER),
    "cabinet/contacts/codes/": Route("/cabinet/contacts/codes/", CUSTOMER, own=302),
    "cabinet/sign-out/": Route("/cabinet/sign-out/", own=302, method="post"),
    "cabinet/invoices/<uuid:invoice_id>.pdf": Route("/cabinet/invoices/{invoice}.pdf", CUSTOMER, tells=True),
    # It is paid already.
    "cabinet/invoices/<uuid:invoice_id>/pay/": Route(
        "/cabinet/invoices/{invoice}/pay/", CUSTOMER, own=409, method="post"
    ),
    "cabinet/payments/<uuid:payment_id>/": Route("/cabinet/payments/{payment}/", CUSTOMER, own=302),
    "cabinet/subscriptions/<uuid:subscription_id>/cancel/": Route(
        "/cabinet/subscriptions/{subscription}/cancel/", CUSTOMER
    ),
    # It was never cancelled.
    "cabinet/subscriptions/<uuid:subscription_id>/resume/": Route(
        "/cabinet/subscriptions/{subscription}/resume/", CUSTOMER, own=409, method="post"
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/": Route(
        "/cabinet/subscriptions/{subscription}/", CUSTOMER, tells=True
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/stay/": Route(
        "/cabinet/subscriptions/{subscription}/stay/", CUSTOMER, own=409, method="post"
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/history/": Route(
        "/cabinet/subscriptions/{subscription}/history/", CUSTOMER, tells=True
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/change/": Route(
        "/cabinet/subscriptions/{subscription}/change/", CUSTOMER, tells=True
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/undo-change/": Route(
        "/cabinet/subscriptions/{subscription}/undo-change/", CUSTOMER, own=409, method="post"
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/pause/": Route(
        "/cabinet/subscriptions/{subscription}/pause/", CUSTOMER, tells=True
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/promo/": Route(
        "/cabinet/subscriptions/{subscription}/promo/", CUSTOMER, own=400, method="post"
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/transfer/": Route(
        "/cabinet/subscriptions/{subscription}/transfer/", CUSTOMER, tells=True
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/seats/<int:position>/": Route(
        "/cabinet/subscriptions/{subscription}/seats/1/", CUSTOMER
    ),
    "cabinet/subscriptions/<uuid:subscription_id>/addons/<int:offer_id>/": Route(
        "/cabinet/subscriptions/{subscription}/addons/{offer}/", CUSTOMER, own=404
    ),
    # On to the gateway's page.
    "cabinet/subscriptions/<uuid:subscription_id>/card/": Route(
        "/cabinet/subscriptions/{subscription}/card/", CUSTOMER, method="post"
    ),
    # The products of the houses ask nothing when they are given out; tests/storefronts/test_manage.py has one.
    "cabinet/services/<uuid:service_id>/data/": Route("/cabinet/services/{service}/data/", CUSTOMER, own=404),
    "cabinet/cards/<uuid:method_id>/refuse/": Route("/cabinet/cards/{method}/refuse/", CUSTOMER),
}

PUBLIC: dict[str, Route] = {
    "healthz": Route("/healthz"),
    "favicon.ico": Route("/favicon.ico"),
    "internal/tls-check": Route("/internal/tls-check?domain=localhost"),
    "hooks/<int:connection>/": Route(
        "/hooks/{connection}/", method="post", data={"event": "payment.succeeded", "object": {"id": "nobody"}}
    ),
    # Asked with a provider's key: tests/providers/test_portal.py and tests/orders/test_entitlements.py.
    "provider/api/v1/entitlements/": Route("/provider/api/v1/entitlements/?service={service}", own=401),
    "provider/api/v1/requests/": Route("/provider/api/v1/requests/", own=401),
    "provider/api/v1/requests/<uuid:pk>/": Route("/provider/api/v1/requests/{service}/", own=401),
    **{
        f"provider/api/v1/requests/<uuid:pk>/{act}/": Route(
            f"/provider/api/v1/requests/{{service}}/{act}/", own=401, method="post", data={}
        )
        for act in ("approve", "fail", "inquire")
    },
    "provider/api/v1/keys/": Route("/provider/api/v1/keys/", own=401, method="post", data={}),
    "provider/api/v1/usage/": Route("/provider/api/v1/usage/", own=401, method="post", data={}),
    "provider/api/v1/services/": Route("/provider/api/v1/services/", own=401),
    "provider/": Route("/provider/", own=302),
    "provider/sign-in/": Route("/provider/sign-in/"),
    "provider/sign-out/": Route("/provider/sign-out/", own=302, method="post", data={}),
    "provider/requests/<uuid:request_id>/": Route("/provider/requests/{service}/", own=302),
    # What a right link opens: tests/providers/test_by_letter.py.
    "provider/r/<str:token>/": Route("/provider/r/nobody/", own=404),
    "provider/keys/": Route("/provider/keys/", own=302),
    "provider/usage/": Route("/provider/usage/", own=302),
    "provider/services/": Route("/provider/services/", own=302),
    "provider/api/schema/": Route("/provider/api/schema/"),
    "provider/api/docs/": Route("/provider/api/docs/"),
    "api/schema/": Route("/api/schema/"),
    "api/docs/": Route("/api/docs/"),
    "api/docs/problems": Route("/api/docs/problems"),
    "i18n/setlang/": Route("/i18n/setlang/", own=302, method="post", data={"language": "ru"}),
    "": Route("/", own=302),
}

COMMON_ADMIN = {
    "": Route("/admin/", STAFF),
    "search/": Route("/admin/search/?s=7701", STAFF),
    "login/": Route("/admin/login/"),
    "logout/": Route("/admin/logout/", own=302),
    "password_change/": Route("/admin/password_change/", STAFF),
    "password_change/done/": Route("/admin/password_change/done/", STAFF),
    "autocomplete/": Route("/admin/autocomplete/", STAFF, own=403),
    "jsi18n/": Route("/admin/jsi18n/", STAFF),
    "r/<path:content_type_id>/<path:object_id>/": Route(
        "/admin/r/1/00000000-0000-0000-0000-000000000000/", STAFF, own=404
    ),
    "(?P<url>.*)$": Route("/admin/nothing-here/", STAFF, own=404),
}
"""What every AdminSite has; a list and a page per model, and the page of an app, are walked by registry."""

PARTNER_ACTIONS = {
    "accounts/customer/<path:object_id>/company/",
    "accounts/customer/<path:object_id>/contact/",
    "accounts/customer/<path:object_id>/phone-gone/",
    "core/workitem/<path:object_id>/take/",
    "core/workitem/<path:object_id>/give-back/",
    "payments/payment/<path:object_id>/refund/",
    "payments/payment/<path:object_id>/ask/",
    "payments/payment/<path:object_id>/capture/",
    "payments/payment/<path:object_id>/release/",
    "payments/payment/<path:object_id>/dispute/",
    *(f"payments/refund/<path:object_id>/{one}/" for one in ("approve", "decline", "by-bank")),
    *(f"payments/dispute/<path:object_id>/{one}/" for one in ("collect", "answered", "ask-again", "decide")),
    "payments/disputefile/<path:object_id>/pdf/",
    *(
        f"payments/bankpayout/<path:object_id>/{one}/"
        for one in ("details", "link", "export", "paid", "returned", "cancel")
    ),
    "payments/payment/<path:object_id>/make-up/",
    "payments/receipt/<path:object_id>/replace/",
    "payments/receipt/<path:object_id>/correct/",
    "payments/receipt/<path:object_id>/send/",
    "payments/receipt/<path:object_id>/ask/",
    "payments/receipt/<path:object_id>/deny/",
    "billing/customeraccount/<path:object_id>/pay-out/",
    "billing/outsidepayment/<path:object_id>/give-back/",
    *(f"billing/outsiderefund/<path:object_id>/{one}/" for one in ("approve", "decline", "ask")),
    "payments/paymentmethod/<path:object_id>/refuse/",
    "billing/subscription/<path:object_id>/cancel/",
    "billing/subscription/<path:object_id>/resume/",
    "billing/subscription/<path:object_id>/history-of/",
    "billing/subscription/<path:object_id>/change-terms/",
    "billing/subscription/<path:object_id>/undo-change/",
    "billing/subscription/<path:object_id>/pause/",
    "billing/subscription/<path:object_id>/end-date/",
    "billing/subscription/<path:object_id>/transfer/",
    "billing/subscription/<path:object_id>/assign-seat/",
    "billing/subscription/<path:object_id>/release-seat/",
    "billing/invoice/<path:object_id>/pdf/",
    "billing/baseimport/<path:object_id>/doubts/",
    "billing/shadowrun/<path:object_id>/differences/",
    "billing/basebatch/<path:object_id>/undo/",
    "billing/massaction/<path:object_id>/confirm/",
    "billing/massaction/<path:object_id>/drop/",
    "billing/massaction/<path:object_id>/rows/",
    "billing/invoice/<path:object_id>/money-received/",
    "billing/invoice/<path:object_id>/credit/",
    "billing/invoice/<path:object_id>/void/",
    "billing/invoice/<path:object_id>/send/",
    "billing/creditnote/<path:object_id>/send/",
    "billing/document/<path:object_id>/send/",
    "billing/creditnote/<path:object_id>/pdf/",
    "billing/document/<path:object_id>/pdf/",
    "accounts/customer/<path:object_id>/payer/",
    "accounts/customer/<path:object_id>/clients-bill/",
    "billing/invoice/<path:object_id>/pay-link/",
    "billing/parkedbill/<path:object_id>/release/",
    "billing/parkedbill/<path:object_id>/void/",
    "accounts/customer/<path:object_id>/former-phone/",
    "orders/order/<path:object_id>/cancel/",
    "orders/service/<path:object_id>/send-again/",
    "orders/order/<path:object_id>/edit-draft/",
    "orders/order/<path:object_id>/place-draft/",
    "orders/order/<path:object_id>/drop-draft/",
    "accounts/customer/<path:object_id>/new-order/",
    "orders/bulkorder/<path:object_id>/start/",
    "orders/bulkorder/<path:object_id>/again/",
    "orders/order/<path:object_id>/keep/",
    "orders/order/<path:object_id>/go-on/",
    "orders/fulfilment/<path:object_id>/retry/",
    "orders/fulfilment/<path:object_id>/way/",
    "orders/order/<path:object_id>/way/",
    "providers/requestdeed/<path:object_id>/confirm/",
    "providers/requestdeed/<path:object_id>/drop/",
    "orders/fulfilment/<path:object_id>/hand-over/",
    "orders/fulfilment/<path:object_id>/asked/",
    "orders/fulfilment/<path:object_id>/hold/",
    "orders/fulfilment/<path:object_id>/resume/",
    "orders/fulfilment/<path:object_id>/skip/",
    "orders/fulfilment/<path:object_id>/escalate/",
    "orders/fulfilment/<path:object_id>/fail/",
    "orders/fulfilment/<path:object_id>/note/",
    "orders/task/<path:object_id>/claim/",
    "orders/task/<path:object_id>/release/",
    "orders/task/<path:object_id>/complete/",
    "orders/task/<path:object_id>/give-up/",
    "orders/task/<path:object_id>/note/",
    "orders/tasknote/<path:object_id>/file/",
    "orders/fulfilment/<path:object_id>/reply/",
    "orders/fulfilment/<path:object_id>/ask-customer/",
    "orders/service/<path:object_id>/replace-key/",
    "billing/promotion/<path:object_id>/codes/",
    "billing/promotion/<path:object_id>/export/",
    "callcenters/calllist/<path:object_id>/csv/",
    "callcenters/calllist/<path:object_id>/results/",
}
"""Pages of one object in a partner's console, beside those that every model has."""

PARTNER_PAGES: dict[str, Route] = {
    "partners/staffrole/duty/": Route("/admin/partners/staffrole/duty/", STAFF),
    # What it is about is posted to it: test_control.py.
    "providers/openrequest/act/": Route("/admin/providers/openrequest/act/", STAFF, own=302),
    "billing/retentionoffer/report/": Route("/admin/billing/retentionoffer/report/", STAFF, tells=True),
}
"""Pages of no object in a partner's console, beside those that every model has."""

OPERATOR_ACTIONS: dict[str, Route] = {
    "partners/legalentity/<path:object_id>/close-books/": Route(
        "/admin/partners/legalentity/{entity}/close-books/"
    ),
    "partners/legalentity/<path:object_id>/reopen-books/": Route(
        "/admin/partners/legalentity/{entity}/reopen-books/"
    ),
    "core/workitem/<path:object_id>/take/": Route("/admin/core/workitem/{workitem}/take/", own=302),
    "core/workitem/<path:object_id>/give-back/": Route("/admin/core/workitem/{workitem}/give-back/", own=302),
    "partners/staffrole/duty/": Route("/admin/partners/staffrole/duty/"),
    "partners/partner/migrations/": Route("/admin/partners/partner/migrations/"),
    "auth/user/<id>/password/": Route("/admin/auth/user/{user}/password/"),
    "connectors/connection/<path:object_id>/check/": Route(
        "/admin/connectors/connection/{connection}/check/", own=302
    ),
    "connectors/connection/<path:object_id>/close-breaker/": Route(
        "/admin/connectors/connection/{connection}/close-breaker/", own=302
    ),
    "policies/paymentroute/try/": Route("/admin/policies/paymentroute/try/"),
    "catalog/tariff/<path:object_id>/new-version/": Route("/admin/catalog/tariff/{tariff}/new-version/"),
    # It takes what the import's preview has confirmed.
    "catalog/tariff/process_import/": Route("/admin/catalog/tariff/process_import/", own=405),
    "catalog/tariff/import/": Route("/admin/catalog/tariff/import/"),
    "catalog/tariff/export/": Route("/admin/catalog/tariff/export/"),
    "catalog/offer/offer/": Route("/admin/catalog/offer/offer/"),
    "providers/provideruser/<path:object_id>/shut-out/": Route(
        "/admin/providers/provideruser/{provider_user}/shut-out/"
    ),
    "providers/openrequest/act/": Route("/admin/providers/openrequest/act/", own=302),
    "providers/providerrequest/<path:object_id>/write-again/": Route(
        "/admin/providers/providerrequest/{service}/write-again/"
    ),
    "providers/requestdeed/<path:object_id>/confirm/": Route(
        "/admin/providers/requestdeed/{deed}/confirm/", own=302
    ),
    "providers/requestdeed/<path:object_id>/drop/": Route(
        "/admin/providers/requestdeed/{deed}/drop/", own=302
    ),
    **{
        f"providers/connectordefinition/<int:number>/{shape}/": Route(
            f"/admin/providers/connectordefinition/{{definition}}/{path}/", own=own
        )
        for shape, path, own in (
            ("edit/<slug:step>", "edit/access", 200),
            # These are asked by POST only.
            ("edit/requests/preview", "edit/requests/preview", 404),
            ("edit/try/send", "edit/try/send", 404),
            ("edit/answer/read", "edit/answer/read", 404),
            ("export", "export", 200),
        )
    },
    "providers/keypool/<path:object_id>/load-keys/": Route("/admin/providers/keypool/{pool}/load-keys/"),
    "reports/trialbalance/chart/": Route("/admin/reports/trialbalance/chart/"),
    "reports/search/calls/": Route("/admin/reports/search/calls/", tells=True),
    "catalog/tariff/<path:object_id>/move/": Route("/admin/catalog/tariff/{tariff}/move/"),
    "catalog/tariff/<path:object_id>/clone/": Route("/admin/catalog/tariff/{tariff}/clone/"),
    "catalog/product/<path:object_id>/move/": Route("/admin/catalog/product/{product_id}/move/"),
    "catalog/product/<path:object_id>/clone/": Route("/admin/catalog/product/{product_id}/clone/"),
    "catalog/product/<path:object_id>/document/": Route("/admin/catalog/product/{product_id}/document/"),
    "catalog/product/<path:object_id>/plan/": Route("/admin/catalog/product/{product_id}/plan/"),
    "catalog/product/launch/": Route("/admin/catalog/product/launch/"),
    "catalog/salesstop/<path:object_id>/end-now/": Route("/admin/catalog/salesstop/0/end-now/", own=404),
    "demo/sandboxpartner/friday/": Route("/admin/demo/sandboxpartner/friday/"),
    "catalog/offer/matrix/": Route("/admin/catalog/offer/matrix/"),
    "catalog/offer/open-matrix/": Route("/admin/catalog/offer/open-matrix/", own=302),
    "catalog/pricechange/<uuid:change_id>/impact/": Route(
        "/admin/catalog/pricechange/00000000-0000-0000-0000-000000000000/impact/", own=404
    ),
    "catalog/category/process_import/": Route("/admin/catalog/category/process_import/", own=405),
    "catalog/category/import/": Route("/admin/catalog/category/import/"),
    "catalog/category/export/": Route("/admin/catalog/category/export/"),
    "catalog/feature/process_import/": Route("/admin/catalog/feature/process_import/", own=405),
    "catalog/feature/import/": Route("/admin/catalog/feature/import/"),
    "catalog/feature/export/": Route("/admin/catalog/feature/export/"),
    "catalog/product/process_import/": Route("/admin/catalog/product/process_import/", own=405),
    "catalog/product/import/": Route("/admin/catalog/product/import/"),
    "catalog/product/export/": Route("/admin/catalog/product/export/"),
    "catalog/productparameter/process_import/": Route(
        "/admin/catalog/productparameter/process_import/", own=405
    ),
    "catalog/productparameter/import/": Route("/admin/catalog/productparameter/import/"),
    "catalog/productparameter/export/": Route("/admin/catalog/productparameter/export/"),
    "catalog/productdocument/process_import/": Route(
        "/admin/catalog/productdocument/process_import/", own=405
    ),
    "catalog/productdocument/import/": Route("/admin/catalog/productdocument/import/"),
    "catalog/productdocument/export/": Route("/admin/catalog/productdocument/export/"),
    "catalog/tariffrelation/process_import/": Route("/admin/catalog/tariffrelation/process_import/", own=405),
    "catalog/tariffrelation/import/": Route("/admin/catalog/tariffrelation/import/"),
    "catalog/tariffrelation/export/": Route("/admin/catalog/tariffrelation/export/"),
    "catalog/offer/process_import/": Route("/admin/catalog/offer/process_import/", own=405),
    "catalog/offer/import/": Route("/admin/catalog/offer/import/"),
    "catalog/offer/export/": Route("/admin/catalog/offer/export/"),
    "catalog/pricechange/process_import/": Route("/admin/catalog/pricechange/process_import/", own=405),
    "catalog/pricechange/import/": Route("/admin/catalog/pricechange/import/"),
    "catalog/pricechange/export/": Route("/admin/catalog/pricechange/export/"),
    "settlements/bankline/<path:object_id>/assign/": Route("/admin/settlements/bankline/{bank_line}/assign/"),
    "settlements/bankline/<path:object_id>/rematch/": Route(
        "/admin/settlements/bankline/{bank_line}/rematch/"
    ),
    "settlements/bankline/<path:object_id>/set-aside/": Route(
        "/admin/settlements/bankline/{bank_line}/set-aside/"
    ),
    "settlements/bankline/<path:object_id>/put-back/": Route(
        "/admin/settlements/bankline/{bank_line}/put-back/"
    ),
    "settlements/bankline/<path:object_id>/payout/": Route("/admin/settlements/bankline/{bank_line}/payout/"),
    "settlements/gatewaypayout/<path:object_id>/days/": Route(
        "/admin/settlements/gatewaypayout/{gateway_payout}/days/", own=302
    ),
    "settlements/gatewaypayout/<path:object_id>/undo/": Route(
        "/admin/settlements/gatewaypayout/{gateway_payout}/undo/"
    ),
    "settlements/gatewayday/upload/": Route("/admin/settlements/gatewayday/upload/"),
    "settlements/gatewayday/<path:object_id>/check/": Route(
        "/admin/settlements/gatewayday/{gateway_day}/check/"
    ),
    "settlements/gatewayday/<path:object_id>/close/": Route(
        "/admin/settlements/gatewayday/{gateway_day}/close/"
    ),
    "settlements/providerday/<path:object_id>/check/": Route(
        "/admin/settlements/providerday/{provider_day}/check/"
    ),
    "settlements/providerday/<path:object_id>/close/": Route(
        "/admin/settlements/providerday/{provider_day}/close/"
    ),
    "settlements/providerday/decide/<uuid:difference_id>/": Route(
        "/admin/settlements/providerday/decide/{provider_difference}/"
    ),
    "settlements/difference/<path:object_id>/explain/": Route(
        "/admin/settlements/difference/{difference}/explain/"
    ),
}
"""Pages of the operator's console, of one object or of all, beside those that every model has."""

OPERATOR_FILES = (
    Route("/admin/catalog/tariff/export/", method="post", data={"format": "0"}, tells=True),
    Route("/admin/catalog/tariff/export/", method="post", data={"format": "1"}, tells=True),
    # Sandbox partners are left out of these.
    Route("/admin/reports/sales/?by=product&format=csv"),
    Route("/admin/reports/sales/?by=product&format=xlsx"),
    Route("/admin/reports/trialbalance/?format=xlsx"),
    Route("/admin/reports/trialbalance/?format=pdf"),
    Route("/admin/reports/partnerstatement/?format=xlsx"),
)
PARTNER_FILES = (
    Route("/admin/billing/customeraccount/{customer}/change/?format=xlsx", STAFF),
    Route("/admin/billing/customeraccount/{customer}/change/?format=pdf", STAFF),
    Route("/admin/reports/partnerstatement/?format=xlsx", STAFF),
    Route("/admin/reports/partnerstatement/?format=pdf", STAFF),
    Route("/admin/reports/recovery/?format=xlsx", STAFF),
    Route("/admin/reports/sales/?by=product&format=csv", STAFF, tells=True),
    Route("/admin/reports/sales/?by=product&format=xlsx", STAFF, tells=True),
    Route("/admin/billing/invoice/{invoice}/pdf/", STAFF, tells=True),
    Route("/admin/orders/tasknote/{note_file}/file/", STAFF, tells=True),
    Route("/admin/billing/baseimport/{base}/doubts/", STAFF),
    Route("/admin/billing/shadowrun/{shadow}/differences/", STAFF),
    Route("/admin/billing/massaction/{mass}/rows/", STAFF),
    Route("/admin/orders/order/{order}/way/", STAFF, tells=True),
    Route("/admin/orders/fulfilment/{fulfilment}/way/", STAFF, tells=True),
    Route("/admin/providers/openrequest/?part=1", STAFF, tells=True),
    Route("/admin/callcenters/calllist/{list}/csv/", STAFF, tells=True),
)
"""What leaves a console as a file."""

NARROWED = (
    Route("/admin/reports/sales/?by=product&partner={other_partner}", STAFF),
    Route("/admin/reports/sales/?by=product&format=csv&partner={other_partner}", STAFF),
    Route("/admin/core/workitem/?partner={other_partner}", STAFF),
    Route("/admin/providers/openrequest/?partner={other_partner}", STAFF),
    Route("/admin/providers/openrequest/?part=1&partner={other_partner}&state=queued", STAFF),
    Route("/admin/partners/staffrole/?q=operator", STAFF),
    Route(
        "/admin/autocomplete/?app_label=callcenters&model_name=customerrequest&field_name=customer&term=Иван",
        STAFF,
    ),
    Route("/admin/accounts/customer/?q=79161112233", STAFF),
    Route("/admin/search/?s=Иван", STAFF),
)
"""Lists of a partner's console, asked for another partner's rows."""

TASKS = {
    "core.work",
    "core.lanes",
    "core.tick",
    "core.audit",
    "core.housekeeping",
    "orders.look_at_board",
    "settlements.morning",
}
"""Celery's tasks take no arguments: each serves all partners, and ends in the public schema."""

DUE = {
    "orders.fulfil": "fulfilment",
    "orders.give_back": "fulfilment",
    "orders.watch": "fulfilment",
    "orders.remind": "fulfilment",
    "orders.start": "order",
    "orders.bulk": "bulk_order",
    "orders.expire": "order",
    "orders.request_deed": "deed",
    "notifications.send": "message",
    "providers.letter": "letter",
    "providers.remind": "asked_by_letter",
    "notifications.follow": "message",
    "billing.renew": "subscription",
    "billing.notice": "subscription",
    "billing.dunning": "subscription",
    "billing.trial_end": "subscription",
    "billing.begin": "subscription",
    "billing.resume": "subscription",
    "billing.expire": "invoice",
    "billing.recognise": "invoice",
    "billing.move_base": "batch",
    "billing.mass_action": "mass",
    "billing.act": "invoice",
    "billing.document_letter": "invoice",
    "billing.partner_invoice": "customer",
    # Of a change that is the platform's own, at each partner that sells the tariff.
    "billing.price_impact": "",
    "billing.price_plan": "",
    "billing.price_check": "subscription",
    "catalog.price_start": "",
    "payments.send": "payment",
    "payments.sweep": "payment",
    "payments.settle": "payment",
    "payments.reconcile": "payment",
    "payments.dispute_deadline": "dispute",
    "payments.refund": "payment",
    "payments.refund_sweep": "payment",
    "payments.unbind": "method",
    "payments.receipt": "receipt",
    "payments.receipt_sweep": "receipt",
    "payments.receipt_close": "payment",
    "billing.charge_ask": "request",
    "billing.refund_ask": "outside_refund",
    # Of a bank's file, which is about invoices of anybody.
    "settlements.match": "",
    # A gateway's yesterday: of all partners that it serves.
    "settlements.morning": "",
    # A provider's yesterday: of all partners that sell its products.
    "settlements.provider_day": "",
    "settlements.ask_provider": "",
    "settlements.provider_answered": "",
    # The platform's own, about its own objects: of no partner.
    "connectors.inbound": "",
    "connectors.partitions": "",
    "connectors.probe": "",
    "core.audit": "",
    "core.tidy": "",
}
"""Due work by kind, and whose id it takes."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "import_base": ("{slug}", "base.csv"),
    "audit": ("--partner", "{slug}"),
    "migrate_all": ("--list",),
    "reencrypt": (),
    "seed_demo": ("--sales", "0"),
    "sandbox_connect": (),
    "simulate": ("--partners", "1", "--customers", "1", "--months", "1", "--seed", "1"),
    "soak": (),
}
"""Own management commands; each works on partners that it is named, or on all."""
