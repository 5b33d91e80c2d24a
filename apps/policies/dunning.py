"""Dunning as data: what is done on which day after a charge has failed, by the class of the decline.

Nothing here reads or writes a row: a policy's version is a `Timeline` per class, checked by `problems` and followed
by `next_step`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.connectors.base import Kind, connector_class

LONGEST = 60
"""Days after which a dunning has to be over: a debt of two months is no renewal any more."""
WINDOW = 30
"""Days in which card systems count repeated charges."""
MOST_STEPS = 40


class DeclineClass(models.TextChoices):
    """Why a charge failed, as far as it matters for what to do next."""

    FUNDS = "funds", gettext_lazy("Не хватает денег или превышен лимит")
    TECHNICAL = "technical", gettext_lazy("Технический сбой банка или шлюза")
    UNKNOWN = "unknown", gettext_lazy("Банк отказал, не назвав причину")
    CARD = "card", gettext_lazy("Карта просрочена или недействительна")
    FRAUD = "fraud", gettext_lazy("Карта заблокирована, подозрение на мошенничество")
    REVOKED = "revoked", gettext_lazy("Клиент отозвал способ оплаты, или его нет")


class Action(models.TextChoices):
    """What a step does."""

    RETRY = "retry", gettext_lazy("Списать ещё раз")
    REMIND = "remind", gettext_lazy("Напомнить")
    SUSPEND = "suspend", gettext_lazy("Приостановить услугу")
    END = "end", gettext_lazy("Завершить подписку")


RANKS = {Action.RETRY: 0, Action.REMIND: 1, Action.SUSPEND: 2, Action.END: 3}
"""The order of steps of one day: money is tried first, the end comes last."""


class MessageChoice(models.TextChoices):
    """Messages that a step may send; staff write their texts under «Шаблоны»."""

    FAILED = "renewal_failed", gettext_lazy("«Продление не оплачено»")
    REMINDER = "payment_reminder", gettext_lazy("«Напоминание об оплате»")
    SUSPENDED = "service_suspended", gettext_lazy("«Услуга приостановлена»")
    LAST = "last_warning", gettext_lazy("«Последнее предупреждение»")


@dataclass(frozen=True, slots=True)
class Step:
    """What is done on a day; day 0 is that of the first failure. A retry's message is sent where it fails too."""

    day: int
    action: str
    message: str = ""

    @property
    def key(self) -> tuple[int, int]:
        """Its place in the timeline."""
        return self.day, RANKS[Action(self.action)]

    @property
    def title(self) -> str:
        """What it does, in words."""
        return str(Action(self.action).label)

    @property
    def message_title(self) -> str:
        """What it sends, in words; empty where nothing."""
        return str(MessageChoice(self.message).label) if self.message else ""


Timeline = list[Step]
NOTHING_DONE = (-1, 0)


def _usual(*, quiet: bool = False) -> Timeline:
    first = [] if quiet else [Step(0, Action.REMIND, MessageChoice.FAILED)]
    return [
        *first,
        Step(1, Action.RETRY, MessageChoice.FAILED),
        Step(3, Action.RETRY, MessageChoice.FAILED),
        Step(5, Action.RETRY),
        Step(5, Action.END, MessageChoice.FAILED),
    ]


def _by_hand() -> Timeline:
    return [
        Step(0, Action.REMIND, MessageChoice.FAILED),
        Step(3, Action.REMIND, MessageChoice.LAST),
        Step(5, Action.END, MessageChoice.FAILED),
    ]


def usual() -> dict[str, Timeline]:
    """What a new policy begins with: days 1, 3 and 5, and no charge where the card cannot or must not be charged."""
    return {
        DeclineClass.FUNDS: _usual(),
        DeclineClass.TECHNICAL: _usual(quiet=True),
        DeclineClass.UNKNOWN: _usual(),
        DeclineClass.CARD: _by_hand(),
        DeclineClass.FRAUD: _by_hand(),
        DeclineClass.REVOKED: _by_hand(),
    }


def dumped(timelines: Mapping[str, Sequence[Step]]) -> dict[str, Any]:
    """As JSON."""
    return {
        str(name): [
            {"day": step.day, "action": str(step.action), "message": str(step.message)}
            for step in sorted(steps, key=lambda step: step.key)
        ]
        for name, steps in timelines.items()
    }


def loaded(data: Mapping[str, Any]) -> dict[str, Timeline]:
    """From JSON. Raises KeyError and ValueError for what is none."""
    return {
        name: [Step(int(one["day"]), Action(one["action"]), one.get("message", "")) for one in data[name]]
        for name in DeclineClass.values
    }


def next_step(
    steps: Sequence[Step], done: tuple[int, int], elapsed: int, *, is_suspended: bool
) -> tuple[int, Step] | None:
    """The step to come and its day, `done` being the place of the last one done, `elapsed` the days since the failure.

    Where the class has changed on the way, what the new one would have done by now is made good: the service rests
    at once, the end comes tomorrow at the earliest. Missed retries and reminders are not.
    """
    late = [
        (elapsed if step.action == Action.SUSPEND else elapsed + 1, step)
        for step in steps
        if step.key <= done
        and (step.action == Action.END or (step.action == Action.SUSPEND and not is_suspended))
    ]
    coming = [(step.day, step) for step in steps if step.key > done]
    found = sorted([*late, *coming], key=lambda one: (one[0], one[1].key))
    return found[0] if found else None


def retries_after(steps: Sequence[Step], done: tuple[int, int]) -> list[int]:
    """Days of the retries that are still to come."""
    return [step.day for step in steps if step.key > done and step.action == Action.RETRY]


@dataclass(frozen=True, slots=True)
class RetryRules:
    """What a gateway and the card systems behind it forbid, whatever a policy says."""

    name: Any
    never: frozenset[str]
    """Classes after which the same method is not charged again."""
    most: int
    """Repeated charges of one debt in 30 days."""
    least_gap_days: int = 1

    def may_retry(self, decline_class: str, charges: int) -> bool:
        """Whether one more charge is allowed after a decline of this class and so many charges in 30 days."""
        return decline_class not in self.never and charges <= self.most


CAUTIOUS = RetryRules(
    name=gettext_lazy("карточные системы"),
    never=frozenset({DeclineClass.CARD, DeclineClass.FRAUD, DeclineClass.REVOKED}),
    most=15,
)
"""For a gateway that has no rules of its own: Visa counts 15 repeated charges in 30 days, none after «never»."""


def gateway_rules() -> list[RetryRules]:
    """Of every gateway that may be connected."""
    classes = [connector_class(path) for path in settings.CONNECTORS]
    found = [getattr(one, "retry_rules", CAUTIOUS) for one in classes if one.kind == Kind.PAYMENT]
    return found or [CAUTIOUS]


def problems(
    timelines: Mapping[str, Sequence[Step]], rules: Sequence[RetryRules] | None = None
) -> list[tuple[str, str]]:
    """What is wrong with a policy: (class, sentence for staff) each. Empty where it may be used."""
    rules = gateway_rules() if rules is None else rules
    found = []
    for name in DeclineClass.values:
        steps = sorted(timelines.get(name, []), key=lambda step: step.key)
        for text in (*_shape(steps), *_forbidden(name, steps, rules)):
            found.append((name, text))
    return found


def _shape(steps: Sequence[Step]) -> Iterator[str]:
    ends = [step for step in steps if step.action == Action.END]
    if not ends:
        yield _("Скажите, в какой день подписка завершится, если оплаты так и не будет")
    elif len(ends) > 1 or steps[-1].action != Action.END:
        yield _("Завершение бывает одно, и после него ничего не происходит")
    if len([step for step in steps if step.action == Action.SUSPEND]) > 1:
        yield _("Приостановить услугу можно один раз")
    if len(steps) > MOST_STEPS:
        yield _("Слишком много шагов: не больше %d") % MOST_STEPS
    if any(not 0 <= step.day <= LONGEST for step in steps):
        yield _("День шага: от 0 до %d") % LONGEST
    if len({step.key for step in steps}) != len(steps):
        yield _("Один и тот же шаг дважды в один день")
    if any(step.action == Action.RETRY and step.day == 0 for step in steps):
        yield _("В день отказа ещё раз не списывают: первый повтор не раньше дня 1")
    if any(step.action == Action.REMIND and not step.message for step in steps):
        yield _("Напоминание без сообщения: выберите, какое отправить")
    if ends and not any(step.message for step in steps if step.action != Action.END):
        yield _("До завершения клиент должен получить хотя бы одно сообщение")


def _forbidden(name: str, steps: Sequence[Step], rules: Sequence[RetryRules]) -> Iterator[str]:
    days = [step.day for step in steps if step.action == Action.RETRY]
    for one in rules:
        if days and name in one.never:
            yield _("%(who)s: после такого отказа эту карту больше не списывают. Уберите повторы") % {
                "who": one.name
            }
        within = max((sum(first <= day < first + WINDOW for day in days) for first in days), default=0)
        if within > one.most:
            yield ngettext(
                "%(who)s: не больше %(most)d повтора за 30 дней, здесь %(count)d",
                "%(who)s: не больше %(most)d повторов за 30 дней, здесь %(count)d",
                one.most,
            ) % {"who": one.name, "most": one.most, "count": within}
        if any(second - first < one.least_gap_days for first, second in pairwise(days)):
            yield _("%(who)s: между списаниями не меньше %(days)d дн.") % {
                "who": one.name,
                "days": one.least_gap_days,
            }


def elapsed_days(started: date, today: date) -> int:
    """The day of a dunning that today is."""
    return (today - started).days
