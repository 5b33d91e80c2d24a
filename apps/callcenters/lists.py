"""Call lists as CSV files: out to the call centre, and their results back in, all or nothing."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from apps import journal
from apps.accounts.models import Customer
from apps.callcenters.models import CallList, CallTask, Disposition
from apps.catalog.cells import guarded
from apps.catalog.cells import text as cell_text
from apps.core import clock
from apps.core.errors import Refused

NUMBER, NAME, PHONE, RESULT, CALLED_AT, COMMENT = (
    "Номер",
    "Имя",
    "Телефон",
    "Результат",
    "Время звонка",
    "Комментарий",
)
COLUMNS = (NUMBER, NAME, PHONE, RESULT, CALLED_AT, COMMENT)
NEEDED = (NUMBER, RESULT)
MOMENT = "%d.%m.%Y %H:%M"
MOST_ROWS = 100_000


class BadRows(Exception):
    """A file of results that was refused; `rows` name each bad row in Russian. Nothing was written."""

    def __init__(self, rows: list[str]) -> None:
        super().__init__("; ".join(rows))
        self.rows = rows


@dataclass(frozen=True)
class Result:
    """What came of one call."""

    task_id: UUID
    result: str
    called_at: datetime
    comment: str


def create(*, name: str, customers: Iterable[Customer], script: str = "", actor: str = "") -> CallList:
    """A list of the chosen customers who can be called. Raises Refused where none has a phone."""
    called = [customer for customer in customers if customer.phone and customer.erased_at is None]
    if not called:
        raise Refused("call_list_empty", _("Ни у кого из выбранных нет телефона"), 400)
    with transaction.atomic():
        made = CallList.objects.create(name=name, script=script, created_at=clock.now(), created_by=actor)
        CallTask.objects.bulk_create(CallTask(call_list=made, customer=customer) for customer in called)
        journal.record(
            "call_list.created", "callcenters.CallList", made.pk, actor=actor, data={"customers": len(called)}
        )
    return made


def export(call_list: CallList, *, actor: str = "") -> bytes:
    """The list as CSV: `;`, UTF-8 with BOM, no cell a formula. It leaves a line in the journal."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";")
    writer.writerow(COLUMNS)
    for task in call_list.tasks.select_related("customer").order_by("pk"):
        called = f"{clock.local(task.called_at):{MOMENT}}" if task.called_at else ""
        cells = [guarded(cell) for cell in (task.customer.name, _label(task), called, task.comment)]
        # A phone is digits after a plus, nothing to run, and its reader dials it as it stands.
        writer.writerow([task.pk, cells[0], task.customer.phone, *cells[1:]])
    journal.record("call_list.exported", "callcenters.CallList", call_list.pk, actor=actor)
    return out.getvalue().encode("utf-8-sig")


def _label(task: CallTask) -> str:
    return str(task.get_result_display()) if task.result else ""


def read_back(call_list: CallList, content: bytes, *, actor: str = "") -> int:
    """Takes the call centre's results; how many. Raises BadRows, and then nothing is written."""
    results = _parsed(call_list, content)
    with transaction.atomic():
        tasks = {task.pk: task for task in call_list.tasks.select_for_update()}
        for result in results:
            task = tasks[result.task_id]
            task.result, task.called_at, task.comment = result.result, result.called_at, result.comment
        changed = [tasks[result.task_id] for result in results]
        CallTask.objects.bulk_update(changed, ["result", "called_at", "comment"], batch_size=1000)
        journal.record(
            "call_list.results",
            "callcenters.CallList",
            call_list.pk,
            actor=actor,
            data={"results": len(results)},
        )
    return len(results)


def _parsed(call_list: CallList, content: bytes) -> list[Result]:
    rows = _rows(content)
    known = set(call_list.tasks.values_list("pk", flat=True))
    results: list[Result] = []
    wrong: list[str] = []
    seen: dict[UUID, int] = {}
    for number, row in enumerate(rows, start=2):
        try:
            result = _result(row, known)
        except ValueError as error:
            wrong.append(_("Строка %(number)d: %(problem)s") % {"number": number, "problem": error})
            continue
        if result is None:
            continue
        if (earlier := seen.setdefault(result.task_id, number)) != number:
            wrong.append(
                _("Строка %(number)d: этот номер уже был в строке %(earlier)d")
                % {"number": number, "earlier": earlier}
            )
        results.append(result)
    if wrong:
        raise BadRows(wrong)
    if not results:
        raise BadRows([_("В файле нет ни одного результата")])
    return results


def _rows(content: bytes) -> list[dict[str, str]]:
    try:
        # Here, because formats of files take a tenth of the time in which a process starts.
        from apps.catalog.formats import decoded

        text = decoded(content)
        heading = text.split("\n", 1)[0]
        reader = csv.DictReader(
            io.StringIO(text, newline=""), delimiter=max(";,\t", key=heading.count), restval=""
        )
        names = [str(name).strip() for name in reader.fieldnames or []]
        if missing := [name for name in NEEDED if name not in names]:
            raise BadRows([_("Нет столбца «%s»") % "», «".join(missing)])
        reader.fieldnames = names
        rows = [{name: cell for name, cell in row.items() if isinstance(cell, str)} for row in reader]
    except (ValueError, csv.Error) as error:
        raise BadRows([_("Файл не прочитан: %s") % error]) from error
    if len(rows) > MOST_ROWS:
        raise BadRows([_("В файле больше %d строк") % MOST_ROWS])
    return rows


def _result(row: dict[str, str], known: set[UUID]) -> Result | None:
    """None for a row without a result: nobody was called yet. Raises ValueError, in Russian."""
    if not any(cell.strip() for cell in row.values()) or not row.get(RESULT, "").strip():
        return None
    try:
        task_id = UUID(row[NUMBER].strip())
    except ValueError:
        raise ValueError(_("«%s» — не номер из этого обзвона") % row[NUMBER]) from None
    if task_id not in known:
        raise ValueError(_("номера «%s» нет в этом обзвоне") % task_id)
    return Result(
        task_id=task_id,
        result=_disposition(row[RESULT]),
        called_at=_moment(row.get(CALLED_AT, "")),
        comment=cell_text(row.get(COMMENT, ""))[:500],
    )


def _disposition(said: str) -> str:
    wanted = said.strip().casefold()
    for value, label in Disposition.choices:
        if value and wanted in {value, str(label).casefold()}:
            return str(value)
    allowed = ", ".join(str(label) for value, label in Disposition.choices if value)
    raise ValueError(
        _("результат «%(said)s» неизвестен; бывают: %(allowed)s") % {"said": said, "allowed": allowed}
    )


def _moment(said: str) -> datetime:
    if not said.strip():
        return clock.now()
    try:
        moment = datetime.strptime(said.strip(), MOMENT).replace(tzinfo=clock.zone())
    except ValueError:
        raise ValueError(_("время «%s» не разобрать: нужно как 27.11.2026 14:30") % said) from None
    if moment > clock.now() + timedelta(days=1):
        raise ValueError(_("время «%s» ещё не наступило") % said)
    return moment
