"""A policy of dunning is refused where a gateway's rules forbid it; its editor shows and writes editions."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.core.tenancy import in_public
from apps.journal.models import Entry
from apps.policies import dunning
from apps.policies.dunning import NOTHING_DONE, Action, DeclineClass, Step
from apps.policies.dunning_models import ChargeRules, DunningChoice, DunningPolicy

URL = "/admin/policies/dunningpolicy/"
R, M, S, E = Action.RETRY, Action.REMIND, Action.SUSPEND, Action.END
FIRST = Step(0, M, "renewal_failed")


def told(steps: list[Step], code: str = DeclineClass.FUNDS) -> str:
    return " ".join(text for _code, text in dunning.problems(dunning.usual() | {code: steps}))


def test_what_everybody_begins_with_is_allowed() -> None:
    assert dunning.problems(dunning.usual()) == []
    with in_public():
        policy = DunningPolicy.objects.get(is_default=True)
        assert dunning.loaded(policy.current.timelines) == dunning.usual()
        assert dunning.loaded(dunning.dumped(dunning.usual())) == dunning.usual()


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([FIRST], "в какой день подписка завершится"),
        ([FIRST, Step(3, E), Step(5, M, "last_warning")], "Завершение бывает одно"),
        ([FIRST, Step(1, S), Step(2, S), Step(5, E)], "Приостановить услугу можно один раз"),
        ([FIRST, Step(61, E)], "от 0 до 60"),
        ([FIRST, Step(0, R), Step(5, E)], "первый повтор не раньше дня 1"),
        ([FIRST, Step(2, R), Step(2, R), Step(5, E)], "дважды в один день"),
        ([FIRST, Step(1, M), Step(5, E)], "Напоминание без сообщения"),
        ([Step(1, R), Step(5, E, "renewal_failed")], "хотя бы одно сообщение"),
        ([FIRST, *(Step(day, R) for day in range(1, 18)), Step(40, E)], "не больше 15"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(steps: list[Step], words: str) -> None:
    assert words in told(steps)


@pytest.mark.parametrize("code", [DeclineClass.CARD, DeclineClass.FRAUD, DeclineClass.REVOKED])
def test_a_retry_after_a_hard_decline_is_refused(code: str) -> None:
    assert "больше не списывают" in told([FIRST, Step(2, R), Step(5, E)], code)


def test_retries_count_in_any_thirty_days() -> None:
    spread = [FIRST, *(Step(day, R) for day in (*range(1, 9), *range(40, 49))), Step(60, E)]
    assert told(spread) == ""
    gap = dunning.RetryRules(name="Шлюз", never=frozenset(), most=15, least_gap_days=3)
    timelines = dunning.usual() | {DeclineClass.FUNDS: [FIRST, Step(1, R), Step(3, R), Step(5, E)]}
    assert "между списаниями не меньше 3" in str(dunning.problems(timelines, [gap]))


steps = st.lists(
    st.builds(Step, st.integers(0, 20), st.sampled_from([R, M, S]), st.just("renewal_failed")),
    unique_by=lambda step: step.key,
    max_size=8,
)


@given(steps, st.integers(21, 40))
def test_following_a_timeline_does_each_step_once_and_ends(timeline: list[Step], last: int) -> None:
    whole = [*timeline, Step(last, E)]
    done, elapsed, seen, suspended = NOTHING_DONE, 0, [], False
    while found := dunning.next_step(whole, done, elapsed, is_suspended=suspended):
        day, step = found
        elapsed = max(elapsed, day)
        seen.append(step)
        done, suspended = step.key, suspended or step.action == S
        if step.action == E:
            break
    wanted = sorted(whole, key=lambda step: step.key)
    # The service is suspended once, however often the timeline says so.
    assert [one for one in seen if one.action != S] == [one for one in wanted if one.action != S]


def test_another_class_makes_good_what_it_would_have_done() -> None:
    card = [FIRST, Step(1, S, "service_suspended"), Step(2, E)]
    assert dunning.next_step(card, (3, 0), 3, is_suspended=False) == (3, card[1])
    assert dunning.next_step(card, (3, 0), 3, is_suspended=True) == (4, card[2])


def posted(**changes: list[tuple[str, str, str]]) -> dict[str, Any]:
    data: dict[str, Any] = {"name": "Терпеливая"}
    for code, timeline in dunning.usual().items():
        rows = changes.get(code) or [(str(one.day), one.action, one.message) for one in timeline]
        # Empty rows of whoever has no JavaScript.
        for name, column in zip(
            ("day", "action", "message"), zip(*rows, ("", "", ""), strict=False), strict=True
        ):
            data[f"{code}-{name}"] = list(column)
    return data


@pytest.fixture
def operator(operator: Any, staff: Callable[..., Client]) -> Client:
    return staff(None, "manager")


def test_the_editor_writes_editions(operator: Client) -> None:
    added = operator.post(f"{URL}add/", posted())
    assert added.status_code == 302
    policy = DunningPolicy.objects.get(name="Терпеливая")
    page = operator.get(f"{URL}{policy.pk}/change/").content.decode()
    assert "Не хватает денег" in page
    assert 'value="5"' in page
    longer = [("0", M, "renewal_failed"), ("7", R, "last_warning"), ("9", S, ""), ("20", E, "")]
    assert operator.post(f"{URL}{policy.pk}/change/", posted(funds=longer)).status_code == 302
    policy.refresh_from_db()
    assert (policy.current.number, policy.versions.count()) == (2, 2)
    assert [one.day for one in policy.current.steps("funds")] == [0, 7, 9, 20]
    # The same again is no new edition.
    operator.post(f"{URL}{policy.pk}/change/", posted(funds=longer))
    policy.refresh_from_db()
    assert policy.versions.count() == 2
    entry = Entry.objects.filter(action="dunning-policy.changed").latest("id")
    assert entry.actor == operator.user.get_username()  # type: ignore[attr-defined]
    policy.current = None
    policy.save()


def test_the_editor_says_what_is_wrong_and_keeps_what_was_typed(operator: Client) -> None:
    with in_public():
        policy = DunningPolicy.objects.get(is_default=True)
    wrong = posted(card=[("0", M, "renewal_failed"), ("2", R, ""), ("abc", E, "")])
    page = operator.post(f"{URL}{policy.pk}/change/", wrong).content.decode()
    assert "больше не списывают" in page
    assert "У каждого шага нужны день" in page
    assert 'value="abc"' in page
    assert policy.versions.count() == 1


def test_only_whose_business_it_is_may_change_it(operator: Client, staff: Callable[..., Client]) -> None:
    with in_public():
        policy = DunningPolicy.objects.get(is_default=True)
    support = staff(None, "support")
    assert support.get(f"{URL}{policy.pk}/change/").status_code == 200
    assert "Записать</button>" not in support.get(f"{URL}{policy.pk}/change/").content.decode()
    assert support.post(f"{URL}{policy.pk}/change/", posted()).status_code == 403


def test_a_choice_is_of_somebody(operator: Client, partner: Any) -> None:
    with in_public():
        policy = DunningPolicy.objects.get(is_default=True)
    add = "/admin/policies/dunningchoice/add/"
    page = operator.post(add, {"policy": policy.pk, "partner": "", "tariff_id": ""}).content.decode()
    assert "Выберите партнёра, тариф" in page
    assert operator.post(add, {"policy": policy.pk, "partner": partner.pk}).status_code == 302
    assert operator.post(add, {"policy": policy.pk, "partner": partner.pk}).status_code == 200
    with in_public():
        assert DunningChoice.objects.filter(partner=partner).count() == 1
        DunningChoice.objects.filter(partner=partner).delete()


def test_rules_of_charges_are_a_partners_own_or_everybodys(operator: Client, partner: Any) -> None:
    assert ChargeRules.of(partner.pk).notice_days == 3
    add = "/admin/policies/chargerules/add/"
    given = {
        "partner": partner.pk,
        "notice_days": "2",
        "most_times_usual": "2",
        "most_invoices_a_day": "3",
        "most_periods": "3",
    }
    assert operator.post(add, given).status_code == 200
    assert operator.post(add, given | {"notice_days": "5"}).status_code == 302
    with in_public():
        assert ChargeRules.of(partner.pk).notice_days == 5
        assert ChargeRules.of(-1).notice_days == 3
        ChargeRules.objects.filter(partner=partner).delete()
