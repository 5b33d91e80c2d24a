"""What the buttons of «Пульт демонстрации» do: the clock, and what goes wrong outside."""

import os
import signal
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from apps import journal
from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import in_partner
from apps.demo import clockwork, friday
from apps.demo.connect import TEST_SHOP, TEST_TOKEN, Addresses
from apps.partners.models import Partner
from apps.payments.models import Payment
from apps.sandbox.control import Control

Button = Callable[[Partner, Mapping[str, str]], str]
BUTTONS: dict[str, Button] = {}
SHOP = {"shop": TEST_SHOP[0]}


def press(name: str, partner: Partner, given: Mapping[str, str], *, actor: str) -> str:
    """Does what a button says and keeps who pressed it; returns a line for the screen.

    Raises Refused for an unknown button, and where a simulator does not answer.
    """
    if name not in BUTTONS:
        raise Refused("unknown_button", _("Такой кнопки нет"), 400)
    journal.record(f"demo.{name}", "partners.Partner", partner.pk, actor=actor)
    try:
        return BUTTONS[name](partner, given)
    except LookupError as error:
        raise Refused("no_simulator", _("Симуляторы не запущены: %s") % error, 503) from error
    except httpx.HTTPError as error:
        raise Refused("no_simulator", _("Симулятор не ответил: %s") % error, 503) from error


def _button(function: Button) -> Button:
    BUTTONS[function.__name__] = function
    return function


def _gateway() -> Control:
    return Addresses().control("yookassa")


def _move(partner: Partner, moment: datetime) -> str:
    clockwork.move(partner, moment)
    with in_partner(partner):
        return _("Часы партнёра: %s") % f"{clock.local(clock.now()):%d.%m.%Y %H:%M}"


@_button
def day(partner: Partner, given: Mapping[str, str]) -> str:
    """One day on."""
    return _move(partner, _now(partner) + timedelta(days=1))


@_button
def three_days(partner: Partner, given: Mapping[str, str]) -> str:
    """Three days on: from a notice to its charge."""
    return _move(partner, _now(partner) + timedelta(days=3))


@_button
def month(partner: Partner, given: Mapping[str, str]) -> str:
    """The same day of the next month, at the end of that day: whatever is due on it has been done."""
    with in_partner(partner):
        local = clock.local(clock.now())
        return _move(partner, datetime.combine(_month_later(local.date()), time(23, 0), local.tzinfo))


@_button
def to_date(partner: Partner, given: Mapping[str, str]) -> str:
    """The end of a given day."""
    try:
        wanted = date.fromisoformat(given.get("date", ""))
    except ValueError:
        raise Refused("bad_date", _("Укажите дату"), 400) from None
    with in_partner(partner):
        local = clock.local(clock.now())
        if (wanted - local.date()).days > 400:
            raise Refused("too_far", _("За один раз — не дальше чем на 400 дней"), 400)
        return _move(partner, datetime.combine(wanted, time(23, 0), local.tzinfo))


@_button
def decline(partner: Partner, given: Mapping[str, str]) -> str:
    """The next charge fails."""
    _gateway().fault("decline", times=1, reason="insufficient_funds", match=SHOP)
    return _("Следующее списание банк отклонит: недостаточно средств")


@_button
def drop_answer(partner: Partner, given: Mapping[str, str]) -> str:
    """The gateway takes the next payment and does not answer."""
    _gateway().fault("drop_answer", times=1, match={**SHOP, "operation": "create_payment"})
    return _("Шлюз проведёт следующий платёж, но ответ не дойдёт")


@_button
def webhook(partner: Partner, given: Mapping[str, str]) -> str:
    """The last payment's webhook once more."""
    with in_partner(partner):
        last = Payment.objects.exclude(gateway_id="").exclude(settled_at=None).order_by("-id").first()
    if last is None:
        raise Refused("no_payment", _("У партнёра ещё нет завершённых платежей"))
    sent = _gateway().resend_webhook(last.gateway_id)
    return _("Уведомлений отправлено повторно: %d. Второй раз ничего не изменится") % len(sent)


@_button
def provider_off(partner: Partner, given: Mapping[str, str]) -> str:
    """The provider answers 503 to the sandboxes' connection until it is on again; live partners notice nothing."""
    Addresses().control("provider").switch(on=False, account=TEST_TOKEN)
    return _("Поставщик выключен: выдача будет повторяться, потом встанет в очередь")


@_button
def provider_on(partner: Partner, given: Mapping[str, str]) -> str:
    """The provider answers again."""
    Addresses().control("provider").switch(on=True, account=TEST_TOKEN)
    return _("Поставщик снова отвечает")


@_button
def clear(partner: Partner, given: Mapping[str, str]) -> str:
    """Nothing goes wrong any more."""
    _gateway().clear()
    Addresses().control("provider").clear()
    Addresses().control("provider").switch(on=True, account=TEST_TOKEN)
    return _("Запланированные сбои сняты")


@_button
def kill_worker(partner: Partner, given: Mapping[str, str]) -> str:
    """SIGKILL to the worker; the supervisor starts another."""
    pid = worker_pid()
    if pid is None:
        raise Refused("no_worker", _("Воркер под присмотром не найден: запущено не через make run?"), 503)
    os.kill(pid, signal.SIGKILL)
    return _("Воркер (процесс %d) убит: новый поднимется сам и доделает начатое") % pid


@_button
def friday_begin(partner: Partner, given: Mapping[str, str]) -> str:
    """A crowd buys of ten providers."""
    wanted = given.get("orders", "")
    run = friday.begin(partner, int(wanted) if wanted.isdigit() and len(wanted) < 6 else friday.ORDERS)
    return _("Толпа пошла: заказов — %d") % run.orders


@_button
def friday_off(partner: Partner, given: Mapping[str, str]) -> str:
    """One of the ten answers 503."""
    friday.switch(on=False)
    return _("«%s» не отвечает: его продажи закроются, остальные не заметят") % friday.OFF.provider


@_button
def friday_on(partner: Partner, given: Mapping[str, str]) -> str:
    """It answers again."""
    friday.switch(on=True)
    return _("«%s» вернулся: очередь разойдётся по порядку") % friday.OFF.provider


@_button
def friday_kill(partner: Partner, given: Mapping[str, str]) -> str:
    """SIGKILL to the worker and to who asks gateways and providers; the supervisor starts others."""
    found = pids()
    if not found:
        raise Refused("no_worker", _("Воркер под присмотром не найден: запущено не через make run?"), 503)
    for pid in found.values():
        os.kill(pid, signal.SIGKILL)
    killed = ", ".join(str(pid) for pid in found.values())
    return _("Убиты процессы %s: новые поднимутся сами и доделают начатое") % killed


def pids() -> dict[str, int]:
    """The processes that work under watch, by name."""
    return {name: pid for name in ("worker", "lanes") if (pid := worker_pid(name)) is not None}


def worker_pid(name: str = "worker") -> int | None:
    """The process of a worker that the supervisor runs; None where there is none, or it is something else."""
    try:
        pid = int((Path(settings.VAR_DIR) / "run" / f"{name}.pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"celery" in words and b"worker" in words else None


def _now(partner: Partner) -> datetime:
    return partner.clock_at or clock.wall()


def _month_later(day: date) -> date:
    first = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return first.replace(day=min(day.day, last.day))
