"""The life of what is sold, product or tariff: a table of moves, made under a row lock, kept in the journal."""

from datetime import date
from typing import TypeVar

from django.db import models, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core.errors import Refused


class State(models.TextChoices):
    DRAFT = "draft", _("Черновик")
    APPROVED = "approved", _("Одобрен")
    ON_SALE = "on_sale", _("В продаже")
    CLOSED = "closed", _("Закрыт для продажи")
    ARCHIVED = "archived", _("В архиве")


DRAFT, APPROVED, ON_SALE, CLOSED, ARCHIVED = State
MOVES: dict[str, tuple[State, ...]] = {
    DRAFT: (APPROVED, ARCHIVED),
    APPROVED: (ON_SALE, DRAFT, ARCHIVED),
    ON_SALE: (CLOSED,),
    CLOSED: (ON_SALE, ARCHIVED),
    ARCHIVED: (CLOSED,),
}
"""Where one may go from each state. What was sold is closed before it is archived, and comes back the same way."""


class Sellable(models.Model):
    """Has a state, and days between which it is sold; subscribers are renewed in every state."""

    State = State

    # What price lists and other programs bring is sold already; the console begins with a draft.
    state = models.CharField(_("состояние"), max_length=10, choices=State.choices, default=State.ON_SALE)
    on_sale_from = models.DateField(_("продаётся с"), null=True, blank=True)
    on_sale_until = models.DateField(_("продаётся по"), null=True, blank=True)

    class Meta:
        abstract = True


def dates_in_order(name: str) -> models.CheckConstraint:
    """The constraint that sales do not end before they begin."""
    return models.CheckConstraint(
        condition=Q(on_sale_from=None) | Q(on_sale_until=None) | Q(on_sale_until__gte=F("on_sale_from")),
        name=name,
        violation_error_message=_("Продажи заканчиваются раньше, чем начинаются"),
    )


Row = TypeVar("Row", bound=Sellable)


def within(day: date, path: str = "") -> Q:
    """Rows (behind a path) whose days of sale hold a day; the last day is a day of sale."""
    begun = Q(**{f"{path}on_sale_from": None}) | Q(**{f"{path}on_sale_from__lte": day})
    not_over = Q(**{f"{path}on_sale_until": None}) | Q(**{f"{path}on_sale_until__gte": day})
    return begun & not_over


def move(row: Row, to: str, *, actor: str = "", reason: str = "") -> Row:
    """Takes a product or tariff to another state. Raises Refused `bad_move`, `not_ready`.

    The row is locked and read again: of two who move it at once, the second is judged by what the first did.
    """
    with transaction.atomic():
        now: Row = type(row)._default_manager.select_for_update(of=("self",)).get(pk=row.pk)
        if to not in MOVES[now.state]:
            was, wanted = now.get_state_display(), State(to).label
            raise Refused(
                "bad_move", _("Из состояния «%(was)s» нельзя в «%(to)s»") % {"was": was, "to": wanted}
            )
        if to == ON_SALE and getattr(now, "current_id", now.pk) is None:
            raise Refused("not_ready", _("У тарифа нет редакции: сначала задайте цену"))
        was = now.state
        now.state = to
        now.save(update_fields=["state"])
        kind = row._meta.label
        journal.record(
            f"{row._meta.model_name}.{to}", kind, row.pk, actor=actor, data={"was": was, "reason": reason}
        )
    row.state = to
    return now
