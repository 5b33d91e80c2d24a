"""The sign-in form of both consoles: a password cannot be guessed at leisure."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm

from apps.core import addresses, throttle
from apps.core.errors import Refused

TOO_MANY = "too_many_sign_ins"
_QUARTER = timedelta(minutes=15)
# By name and address: a stranger elsewhere cannot lock a member of staff out.
PAIR = throttle.Limit("staff.pair", 5, _QUARTER)
# Many names from one address: an office behind one address mistypes less than this.
ADDRESS = throttle.Limit("staff.address", 30, _QUARTER)
# One name from many addresses.
NAME = throttle.Limit("staff.name", 100, timedelta(hours=1))


class StaffSignInForm(AuthenticationForm):
    """Counts what fails; a right password wipes the slate of its name at this address."""

    def clean(self) -> dict[str, Any]:
        name, address = self._who()
        if not name:
            return super().clean()
        pair = f"{name}|{address}"
        try:
            tries = throttle.take(
                [(PAIR, pair), (ADDRESS, address), (NAME, name)],
                code=TOO_MANY,
                message=_("Слишком много неудачных попыток входа. Попробуйте через %(minutes)d мин."),
            )
        except Refused as refused:
            raise ValidationError(str(refused.message), code=TOO_MANY) from refused
        cleaned: dict[str, Any] = super().clean()
        throttle.forget(tries)
        throttle.forget_all(PAIR, pair)
        return cleaned

    def _who(self) -> tuple[str, str]:
        address = addresses.of(self.request) if self.request else None
        name = str(self.cleaned_data.get("username") or "").casefold()
        return name, addresses.household(address) if address else ""
