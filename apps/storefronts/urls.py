"""The storefront's pages, at the root of a partner's host."""

from django.urls import path
from django.views.i18n import set_language

from apps.storefronts.views import (
    cabinet,
    contacts,
    documents,
    pay_link,
    payout,
    price,
    purchase,
    shop,
    subscription,
)

app_name = "storefronts"
urlpatterns = [
    path("", shop.catalogue, name="catalogue"),
    path("product/<str:code>/", shop.product, name="product"),
    path("product/<str:code>/picture", shop.picture, name="picture"),
    path("product/<str:code>/documents/<slug:kind>/", shop.document, name="document"),
    path("legal/<slug:kind>/", shop.legal, name="legal"),
    path("theme.css", shop.theme, name="theme"),
    path("logo", shop.logo, name="logo"),
    # Consoles and the API's page of this host have no <link> to it.
    path("favicon.ico", shop.logo),
    path("language/", set_language, name="language"),
    path("checkout/<int:offer_id>/", purchase.checkout, name="checkout"),
    path("pay/<uuid:order_id>/", purchase.pay, name="pay"),
    path("thanks/<uuid:order_id>/", purchase.thanks, name="thanks"),
    path("thanks/<uuid:order_id>/state/", purchase.state, name="state"),
    path("price/<str:token>/", price.price, name="price"),
    path("p/<str:token>/", pay_link.pay_link, name="pay_link"),
    path("payout/<str:token>/", payout.payout, name="payout"),
    path("cabinet/", cabinet.cabinet, name="cabinet"),
    path("cabinet/sign-in/", cabinet.sign_in, name="sign_in"),
    path("cabinet/code/", cabinet.code, name="code"),
    path("cabinet/contacts/", contacts.change, name="contacts"),
    path("cabinet/contacts/codes/", contacts.codes, name="contact_codes"),
    path("cabinet/sign-out/", cabinet.sign_out, name="sign_out"),
    path("cabinet/invoices/<uuid:invoice_id>.pdf", cabinet.invoice, name="invoice"),
    path("cabinet/documents/<uuid:document_id>.pdf", documents.document, name="document_pdf"),
    path("cabinet/credit-notes/<uuid:note_id>.pdf", documents.credit_note, name="credit_note"),
    path("cabinet/documents/<uuid:document_id>/send/", documents.send, name="send_document"),
    path("cabinet/account/", documents.account, name="account"),
    path("cabinet/documents/by-mail/", documents.by_mail, name="documents_by_mail"),
    path("cabinet/invoices/<uuid:invoice_id>/pay/", cabinet.pay_invoice, name="pay_invoice"),
    path("cabinet/payments/<uuid:payment_id>/", cabinet.payment, name="payment"),
    path("cabinet/subscriptions/<uuid:subscription_id>/cancel/", cabinet.cancel, name="cancel"),
    path("cabinet/subscriptions/<uuid:subscription_id>/resume/", cabinet.resume, name="resume"),
    path("cabinet/subscriptions/<uuid:subscription_id>/", subscription.subscription, name="subscription"),
    path("cabinet/subscriptions/<uuid:subscription_id>/stay/", cabinet.stay, name="stay"),
    path("cabinet/subscriptions/<uuid:subscription_id>/history/", subscription.story, name="story"),
    path("cabinet/subscriptions/<uuid:subscription_id>/change/", subscription.change, name="change"),
    path("cabinet/subscriptions/<uuid:subscription_id>/undo-change/", subscription.undo, name="undo_change"),
    path("cabinet/subscriptions/<uuid:subscription_id>/pause/", subscription.pause, name="pause"),
    path("cabinet/subscriptions/<uuid:subscription_id>/card/", subscription.bind, name="bind"),
    path("cabinet/subscriptions/<uuid:subscription_id>/promo/", subscription.promo, name="promo"),
    path("cabinet/subscriptions/<uuid:subscription_id>/transfer/", subscription.transfer, name="transfer"),
    path(
        "cabinet/subscriptions/<uuid:subscription_id>/seats/<int:position>/", subscription.seat, name="seat"
    ),
    path(
        "cabinet/subscriptions/<uuid:subscription_id>/addons/<int:offer_id>/",
        subscription.addon,
        name="addon",
    ),
    path("cabinet/services/<uuid:service_id>/data/", subscription.asked, name="asked"),
    path("cabinet/cards/<uuid:method_id>/refuse/", cabinet.refuse, name="refuse"),
]
