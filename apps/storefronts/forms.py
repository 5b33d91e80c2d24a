"""What a visitor fills in: checkout and sign-in."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts import companies
from apps.accounts.models import Company, Customer
from apps.catalog import parameters, regions
from apps.catalog.models import ProductParameter
from apps.catalog.models.offers import Payer
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.orders.rules import Declared
from apps.storefronts import ways
from apps.storefronts.quotes import Quote


class AccessibleForm(forms.Form):
    """Says which field is wrong to those who listen; numbers and mail get their own keyboards."""

    use_required_attribute = False

    def refuse(self, refused: Refused) -> None:
        """Shows a refusal beside the field that it is about, else above the form."""
        name = {"bad_phone": "phone", "bad_email": "email", "no_contact": "phone"}.get(refused.code, "")
        if refused.code.startswith("promo_"):
            name = "promo"
        if name not in self.fields:
            name = next((field for field in ("contact", "code") if field in self.fields), "")
        self.add_error(name or None, str(refused.message))


class CheckoutForm(AccessibleForm):
    """Contacts and consents; the hidden fields say what the buyer saw."""

    request_key = forms.UUIDField(widget=forms.HiddenInput)
    price = forms.CharField(widget=forms.HiddenInput, required=False, max_length=30)
    currency = forms.CharField(widget=forms.HiddenInput, required=False, max_length=3)
    due = forms.CharField(widget=forms.HiddenInput, required=False, max_length=30)
    trial = forms.CharField(widget=forms.HiddenInput, required=False, max_length=1)
    agreed_to = forms.CharField(widget=forms.HiddenInput, required=False, max_length=20)
    """The way to pay whose consent was read: another one's is to be read first."""
    phone = forms.CharField(
        label=_("Телефон"),
        required=False,
        max_length=30,
        widget=forms.TextInput(
            attrs={
                "type": "tel",
                "autocomplete": "tel",
                "inputmode": "tel",
                "placeholder": "+7 900 000-00-00",
            }
        ),
    )
    email = forms.CharField(
        label=_("Почта"),
        required=False,
        max_length=254,
        help_text=_("Достаточно телефона или почты: туда придут ключ и код для входа."),
        widget=forms.TextInput(
            attrs={"type": "email", "autocomplete": "email", "inputmode": "email", "spellcheck": "false"}
        ),
    )
    name = forms.CharField(
        label=_("Как к вам обращаться (необязательно)"),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    promo = forms.CharField(
        label=_("Промокод"),
        required=False,
        max_length=60,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        ),
    )
    recurring = forms.BooleanField(error_messages={"required": _("Без этого согласия подписку не оформить.")})
    terms = forms.BooleanField(error_messages={"required": _("Примите условия, чтобы купить.")})

    def __init__(self, quote: Quote, buyer: Customer | None, data: Any = None) -> None:
        self.quote, self.offer, self.buyer = quote, quote.offer, buyer
        self.version = quote.version
        super().__init__(data, initial={"request_key": uuid7(), **self._shown()})
        self.fields[ways.FIELD] = forms.CharField(required=False, max_length=20)
        self._ask()
        if quote.by_invoice and (buyer is None or companies.of(buyer.pk) is None):
            self.fields.update(company_fields())
        if not quote.is_charged and not quote.by_invoice:
            # Nothing will be charged without another word of the customer's.
            del self.fields["recurring"]
        if buyer is not None:
            for name in ("phone", "email", "name"):
                del self.fields[name]

    def _shown(self) -> dict[str, str]:
        """What the page says it costs, as the browser sends it back."""
        return {
            "price": f"{self.offer.unit_price:.2f}",
            "currency": self.version.currency,
            "due": f"{self.quote.due_now.amount:.2f}",
            "trial": "1" if self.quote.is_trial else "0",
        }

    @property
    def way(self) -> str:
        """The way to pay that is chosen, as it is shown: the usual one until the buyer says otherwise."""
        codes = [one.code for one in self.quote.ways]
        asked = str(self.data.get(ways.FIELD, "")) if self.is_bound else ""
        return asked if asked in codes else codes[0] if codes else ""

    @property
    def instrument(self) -> str:
        """What the order is placed with; empty where the offer leaves nothing to choose."""
        return self.way if self.offer.payer == Payer.CHARGE else ""

    def _ask(self) -> None:
        """What the product asks of its buyers: age, region, parameters of the order."""
        product = self.offer.tariff.product
        if product.min_age:
            self.fields["adult"] = forms.BooleanField(
                label=_("Мне есть %d лет") % product.min_age,
                error_messages={"required": _("Продаётся только с %d лет") % product.min_age},
            )
        if product.regions:
            allowed = [(code, regions.NAMES.get(code, code)) for code in product.regions]
            self.fields["region"] = forms.ChoiceField(
                label=_("Ваш регион"), choices=[("", "—"), *allowed, ("other", _("другой"))]
            )
        for one in self.offer.questions():
            self.fields[f"answer_{one.code}"] = field_of(one)

    @property
    def questions(self) -> list[Any]:
        """The bound fields of the product's own questions, those with a box of their own first."""
        return [self[name] for name in self.fields if name == "region" or name.startswith("answer_")]

    def declared(self) -> Declared:
        """What the buyer says of themselves."""
        age = self.offer.tariff.product.min_age if self.cleaned_data.get("adult") else None
        return Declared(age=age, region=self.cleaned_data.get("region", ""))

    def answers(self) -> dict[str, Any]:
        """Values of the product's parameters by code, typed."""
        found = {}
        for one in self.offer.questions():
            value = self.cleaned_data.get(f"answer_{one.code}")
            if value not in (None, ""):
                found[one.code] = value
        return found

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for one in self.offer.questions():
            value = cleaned.get(f"answer_{one.code}")
            if value not in (None, ""):
                try:
                    parameters.check_by(one.rule, value)
                except ValueError as error:
                    self.add_error(f"answer_{one.code}", str(error))
        self._check_way(cleaned)
        if self.buyer is None and not cleaned.get("phone") and not cleaned.get("email"):
            self.add_error("phone", _("Укажите телефон или почту."))
        if given := self.company():
            for name, reason in companies.problems(Company(**given)).items():
                self.add_error(f"company_{name}", reason)
        return cleaned

    def _check_way(self, cleaned: dict[str, Any]) -> None:
        """The consent that was given is the one that belongs to the way; a script on the page sees to that."""
        codes = [one.code for one in self.quote.ways]
        asked = cleaned.get(ways.FIELD, "")
        if asked and asked not in codes:
            self.add_error(ways.FIELD, _("Так заплатить сейчас нельзя: выберите другой способ."))
        elif len(codes) > 1 and (cleaned.get("agreed_to") or codes[0]) != self.way:
            self.add_error(ways.FIELD, _("Способ другой: прочитайте, на что соглашаетесь, и отметьте снова."))

    @property
    def requisites(self) -> list[Any]:
        """The bound fields of a company's requisites, where they are asked for."""
        return [self[name] for name in self.fields if name.startswith("company_")]

    def company(self) -> dict[str, str]:
        """What documents say of the buyer, as `companies.set_company` takes it; empty for a person."""
        found = {
            name.removeprefix("company_"): " ".join(str(self.cleaned_data.get(name) or "").split())
            for name in self.fields
            if name.startswith("company_")
        }
        if found and not found["documents_email"]:
            found["documents_email"] = self.cleaned_data.get("email", "") or getattr(self.buyer, "email", "")
        return found

    def shown_price(self) -> Decimal:
        """The price that stood on the page. Raises Refused `price_changed` where it is not today's price."""
        try:
            price = Decimal(self.cleaned_data["price"])
        except InvalidOperation:
            raise price_changed() from None
        if price != self.offer.unit_price or self.cleaned_data["currency"] != self.version.currency:
            raise price_changed()
        shown = self._shown()
        if any(self.cleaned_data[name] not in ("", shown[name]) for name in ("due", "trial")):
            raise price_changed(_("Сумма пересчитана: проверьте её и нажмите ещё раз."))
        if self.quote.given and self.cleaned_data["due"] == "":
            raise price_changed()
        return price

    def renewed(self, quote: Quote | None = None) -> "CheckoutForm":
        """The same answers with today's price and a new key: the consents are to be given again."""
        again = CheckoutForm(quote or self.quote, self.buyer)
        data = dict(self.data.items()) | again._shown()
        data["request_key"] = str(uuid7())
        data["agreed_to"] = self.way
        data.pop("recurring", None)
        again = CheckoutForm(again.quote, self.buyer, data)
        again.is_valid()
        again.errors.clear()
        return again


def company_fields() -> dict[str, forms.Field]:
    """The boxes for a company's requisites; they are checked together."""

    def text(label: Any, longest: int, hint: Any = "", **attrs: str) -> forms.CharField:
        widget = forms.TextInput(attrs={"spellcheck": "false", **attrs})
        return forms.CharField(label=label, required=False, max_length=longest, help_text=hint, widget=widget)

    return {
        "company_name": text(_("Юридическое название"), 200, autocomplete="organization"),
        "company_inn": text(_("ИНН"), 12, inputmode="numeric"),
        "company_kpp": text(_("КПП"), 9, _("У предпринимателя его нет: оставьте пустым.")),
        "company_address": text(_("Юридический адрес"), 300),
        "company_documents_email": text(
            _("Почта для счетов и актов"),
            254,
            _("Пусто: пришлём на вашу почту."),
            type="email",
            inputmode="email",
        ),
    }


def field_of(one: ProductParameter) -> forms.Field:
    """The box for one question of a product."""
    common: dict[str, Any] = {
        "label": str(one.name).capitalize(),
        "required": one.is_required,
        "help_text": str(one.help),
        "error_messages": {"required": _("Нужно заполнить.")},
    }
    if one.kind == parameters.Kind.BOOL:
        return forms.TypedChoiceField(
            choices=[("", "—"), ("1", _("да")), ("0", _("нет"))],
            coerce=lambda value: value == "1",
            empty_value=None,
            **common,
        )
    if one.kind == parameters.Kind.CHOICE:
        return forms.ChoiceField(choices=[("", "—"), *((value, value) for value in one.choices)], **common)
    if one.kind == parameters.Kind.INT:
        return forms.IntegerField(widget=forms.TextInput(attrs={"inputmode": "numeric"}), **common)
    return forms.CharField(max_length=500, **common)


def price_changed(message: Any = "") -> Refused:
    """The refusal of a price that the buyer did not see here."""
    return Refused(
        "price_changed",
        message
        or _(
            "Цена на странице не совпала с ценой тарифа. Ничего не куплено и не списано: проверьте цену ещё раз."
        ),
    )


class ContactForm(AccessibleForm):
    """Where the sign-in code is to go."""

    contact = forms.CharField(
        label=_("Телефон или почта"),
        max_length=254,
        error_messages={"required": _("Укажите телефон или почту.")},
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True, "spellcheck": "false"}),
    )


class CodeForm(AccessibleForm):
    """The six digits that came."""

    code = forms.CharField(
        label=_("Код из сообщения"),
        max_length=12,
        error_messages={"required": _("Введите код.")},
        widget=forms.TextInput(
            attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "autofocus": True}
        ),
    )


class NewContactForm(AccessibleForm):
    """What to change to; where there are two contacts, which of them is to prove who asks."""

    contact = forms.CharField(
        label=_("Новый телефон или почта"),
        max_length=254,
        error_messages={"required": _("Введите телефон или почту.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )

    def __init__(self, known: list[tuple[str, str]], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if len(known) > 1:
            self.fields["proof"] = forms.ChoiceField(
                label=_("Подтвердить кодом с"),
                required=False,
                choices=[("", _("того же вида")), *known],
            )


class CodesForm(AccessibleForm):
    """The codes that came to the new contact and to the old one."""

    new_code = forms.CharField(
        label=_("Код с нового контакта"),
        max_length=12,
        error_messages={"required": _("Введите код.")},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "autofocus": True}),
    )
    old_code = forms.CharField(
        label=_("Код с прежнего контакта"),
        max_length=12,
        error_messages={"required": _("Введите код.")},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
