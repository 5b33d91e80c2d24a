"""What staff may do with an open fulfilment from the board, one or many, and what it comes to in money."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps import journal
from apps.billing.mass import deeds as of_subscriptions
from apps.core.errors import Refused
from apps.orders import fulfilment as outcomes
from apps.orders import replacing
from apps.orders.models import OPEN_STATES, TO_DO_STATES, Fulfilment, FulfilmentAction
from apps.orders.sending_again import send_again
from apps.partners.models import StaffRole
from apps.providers.models import RequestDeed

SUPPORT = ("manager", "support")


class DeedKind(models.TextChoices):
    RETRY = "retry", gettext_lazy("Повторить")
    HOLD = "hold", gettext_lazy("Отложить")
    RESUME = "resume", gettext_lazy("Продолжить")
    SKIP = "skip", gettext_lazy("Пропустить шаг")
    ESCALATE = "escalate", gettext_lazy("Передать старшему")
    REPLACE = "replace", gettext_lazy("Заменить ключ")
    RESEND = "resend", gettext_lazy("Отправить ещё раз")
    REFUND = "refund", gettext_lazy("Вернуть деньги")


@dataclass(frozen=True, slots=True)
class Deed:
    """`look` says the sum and refuses what cannot be done; `do` does it and says what it did."""

    about: Any
    """What will happen, before anybody agrees."""
    sum_is: Any
    roles: tuple[str, ...]
    do: Callable[[Fulfilment, RequestDeed], str]
    look: Callable[[Fulfilment], Decimal] | None = None
    """None: nothing is spent, the sum is that of the orders that wait."""
    icon: str = "bolt"

    @property
    def is_costly(self) -> bool:
        """Whether money moves: then its sum is counted first, and above the limit a second person agrees."""
        return self.look is not None


def _retry(one: Fulfilment, deed: RequestDeed) -> str:
    outcomes.retry(one, actor=deed.asked_by, reason=deed.reason)
    return _("запрошено снова")


def _hold(one: Fulfilment, deed: RequestDeed) -> str:
    outcomes.hold(one, deed.reason, actor=deed.asked_by)
    return _("отложено")


def _resume(one: Fulfilment, deed: RequestDeed) -> str:
    outcomes.resume(one, actor=deed.asked_by, reason=deed.reason)
    return _("идёт дальше")


def _skip(one: Fulfilment, deed: RequestDeed) -> str:
    outcomes.skip(one, deed.reason, actor=deed.asked_by)
    return _("шаг пропущен")


def _escalate(one: Fulfilment, deed: RequestDeed) -> str:
    outcomes.escalate(one, to=StaffRole.Role.MANAGER.value, comment=deed.reason, actor=deed.asked_by)
    return _("передано, письмо отправлено")


def _replace(one: Fulfilment, deed: RequestDeed) -> str:
    service = one.service
    if one.action in outcomes.NEW and one.pk != service.request_id:
        raise Refused("other_key", _("Этот ключ уже заменён"))
    # The deed has the id of the page on which it was chosen: a key that somebody else has replaced since, or an earlier
    # row of this same service, is not replaced again.
    replacing.replace_key(
        service,
        reason=str(deed.params.get("defect", "")),
        comment=deed.reason,
        actor=deed.asked_by,
        shown=deed.pk,
    )
    return _("новый ключ придёт клиенту сам")


def _resend(one: Fulfilment, deed: RequestDeed) -> str:
    # Of one deed a customer gets one message about a service, however many of its rows were chosen.
    channel = str(deed.params.get("channel", ""))
    sent = send_again(one.service, channel=channel, key=f"deed-{deed.pk}", actor=deed.asked_by)
    _note(one, "fulfilment.sent-again", deed)
    return _("отправлено: {channel}").format(channel=sent.get_channel_display())


def _sum_back(one: Fulfilment) -> Decimal:
    if one.state not in OPEN_STATES:
        raise Refused("not_waiting", _("Это исполнение уже завершено"))
    return of_subscriptions.all_of_last(one.service.subscription)


def _refund(one: Fulfilment, deed: RequestDeed) -> str:
    if one.state not in OPEN_STATES:
        raise Refused("not_waiting", _("Это исполнение уже завершено"))
    if one.action == FulfilmentAction.PROVISION and one.state in TO_DO_STATES:
        # What was done of it is undone first, then the money goes back by itself.
        outcomes.fail(one, deed.reason, actor=deed.asked_by)
        return _("отменяется, деньги вернутся")
    said = of_subscriptions.give_all_back(
        one.service.subscription, key=f"board:{deed.pk}:{one.service.subscription_id}", actor=deed.asked_by
    )
    _note(one, "fulfilment.refunded", deed)
    return said


def _note(one: Fulfilment, action: str, deed: RequestDeed) -> None:
    data = {"reason": deed.reason}
    journal.record(action, outcomes.KIND, one.pk, actor=deed.asked_by, data=data)


DEEDS: dict[str, Deed] = {
    DeedKind.RETRY: Deed(
        gettext_lazy(
            "Спросим поставщика ещё раз, сразу и в порядке очереди. О запросе, на который не было ответа, сначала "
            "узнаем, что с ним стало: дважды ничего не выдадим."
        ),
        gettext_lazy("Ждут исполнения на"),
        SUPPORT,
        _retry,
        icon="replay",
    ),
    DeedKind.HOLD: Deed(
        gettext_lazy(
            "Ничего не будет делаться, пока не продолжат. Что уже в пути, дойдёт, и ответ не потеряется."
        ),
        gettext_lazy("Отложим на"),
        SUPPORT,
        _hold,
        icon="pause_circle",
    ),
    DeedKind.RESUME: Deed(
        gettext_lazy("Отложенное пойдёт дальше с того шага, на котором остановилось."),
        gettext_lazy("Продолжим на"),
        SUPPORT,
        _resume,
        icon="play_circle",
    ),
    DeedKind.SKIP: Deed(
        gettext_lazy(
            "Текущий шаг плана не будет делаться, начнётся следующий. Саму выдачу пропустить нельзя."
        ),
        gettext_lazy("Ждут исполнения на"),
        SUPPORT,
        _skip,
        icon="skip_next",
    ),
    DeedKind.ESCALATE: Deed(
        gettext_lazy(
            "Встанет в очередь менеджеров с вашими словами, тем из них, кто на смене, уйдёт письмо."
        ),
        gettext_lazy("Передадим на"),
        SUPPORT,
        _escalate,
        icon="escalator_warning",
    ),
    DeedKind.REPLACE: Deed(
        gettext_lazy(
            "Прежние ключи больше никому не выдадут и предъявят поставщику, новые придут клиентам сами. Где ключа ещё "
            "нет, его меняли уже три раза или заменили без вас, ничего не изменится: у строки будет написано почему."
        ),
        gettext_lazy("Заменим ключи за"),
        SUPPORT,
        _replace,
        icon="key",
    ),
    DeedKind.RESEND: Deed(
        gettext_lazy(
            "Отправим клиентам ключ, ссылку или инструкцию ещё раз, другим путём. Кому ещё ничего не выдано, чьего "
            "контакта мы не знаем или чей телефон давно не подтверждён, не получит ничего: у строки будет написано "
            "почему."
        ),
        gettext_lazy("Отправим о купленном на"),
        SUPPORT,
        _resend,
        icon="forward_to_inbox",
    ),
    DeedKind.REFUND: Deed(
        gettext_lazy(
            "Вернём всё, что оплачено за неисполненное, тем же путём, отключим подписку и попросим поставщика "
            "ничего не выдавать. Клиент получит письмо и чек возврата."
        ),
        gettext_lazy("Вернём"),
        ("manager", "finance"),
        _refund,
        look=_sum_back,
        icon="undo",
    ),
}
