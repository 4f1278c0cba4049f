"""What a publication does to a few users, case by case: each is a function that fails on some mistake."""

from __future__ import annotations

from agents.evaluate.steps import Limits
from tests.agents.evaluate.graft_case import DAY, HOUR, START, Case, audience, hours_of, ms, story
from tests.agents.evaluate.grafts import settled

BOUGHT = {"event": "buy", "within": "1d"}
NEVER_LEFT = {"not": {"event": "leave"}}


def an_edit_tells_the_difference() -> None:
    case = Case()
    case.track(0, "buy")
    case.track(1, "buy", "bob")
    case.track(2, "buy")
    case.publish(audience("a", {"event": "buy", "count": {"gte": 1}}))
    told = case.publish(audience("a", {"event": "buy", "count": {"gte": 2}}))
    assert told == [("a", 2, "definition", 2, 1)], "only bob leaves"
    assert case.members() == {"a": 2}


def seq_goes_on_over_an_edit() -> None:
    case = Case()
    case.publish(audience("a", BOUGHT))
    for day in range(3):
        case.track(48 * day, "buy")
    case.passes(96 + 23)
    assert case.told[-1].seq == 5
    case.publish(audience("a", {"event": "buy", "within": "2d"}))
    case.passes(96 + 49)
    assert case.last == ("a", 6, "time", 96 + 48, 0), "two days after each purchase"


def an_id_that_comes_back_goes_on_counting() -> None:
    case = Case()
    case.track(0, "buy")
    assert case.publish(audience("a", {"event": "buy"})) == [("a", 1, "backfill", 0, 0)]
    case.track(1, "view")
    assert case.publish(audience("b", {"event": "view"}), sweep=False) == []
    case.track(2, "view")
    case.sweep()
    assert ("a", 2, "definition", 1, 0) in [story(each) for each in case.told]
    assert case.publish(audience("a", {"event": "buy"}))[0] == ("a", 3, "backfill", 2, 0)


def what_is_deleted_goes_at_the_cut() -> None:
    case = Case()
    case.track(0, "buy")
    case.publish(audience("a", {"event": "buy"}), audience("b", {"event": "buy"}))
    case.publish(audience("b", {"event": "buy"}), sweep=False)
    case.passes(5)
    case.track(6, "buy")
    assert case.sweep() == [("a", 2, "definition", 0, 0)]


def who_asks_about_an_edited_audience_goes_along() -> None:
    case = Case()
    case.track(0, "buy")
    case.track(1, "view")
    case.track(2, "join")
    viewed = audience("b", {"event": "view", "within": {"audience": "a"}})
    assert [each[0] for each in case.publish(audience("a", {"event": "join"}), viewed)] == ["a"]
    told = case.publish(audience("a", {"event": "buy"}), viewed)
    assert told == [("b", 1, "definition", 2, 1)], "a began before the view"
    assert case.members() == {"a": 0, "b": 1}


def an_audience_asked_for_how_long_knows_it_from_the_history() -> None:
    """The live row knows the stay from a short history, and who asks about it needs a longer one."""
    case = Case(trims=True)
    for hours in range(0, 240, 12):
        case.track(hours, "buy")
    case.publish(audience("a", BOUGHT))
    loyal = audience("b", {"audience": "a", "for": "4d"})
    told = case.publish(audience("a", BOUGHT), loyal)
    assert [each[:4] for each in told] == [("b", 1, "backfill", 228)]


def a_stay_that_may_have_begun_before_the_history_is_marked() -> None:
    case = Case(trims=True)
    case.track(0, "view", "bob")
    others = {100: ("view", "dee"), 160: ("buy", "cy")}
    for hours in range(0, 200, 20):
        case.track(hours, "buy")
        if hours in others:
            case.track(hours, *others[hours])
    case.publish(
        audience("a", BOUGHT), audience("n", {"not": BOUGHT}), audience("w", {"event": "buy", "within": "4d"})
    )
    assert 40 < hours_of(case.publication.plan.begin_ms) < 60
    marks = {(each.user_id, each.audience): each.entered_at_is_bound for each in case.told}
    assert {name: mark for name, mark in marks.items() if name[1] != "w"} == {
        ("ann", "a"): True,
        ("bob", "n"): True,
        ("cy", "a"): False,
        ("dee", "n"): False,
    }


def a_timer_of_a_new_audience_fires_in_rows_that_are_grafted_late() -> None:
    case = Case()
    case.track(0, "buy")
    case.track(1, "view", "bob")
    case.publish(audience("a", BOUGHT), sweep=False)
    case.passes(30)
    assert case.sweep() == [("a", 1, "backfill", 1, 0)]
    case.passes(30)
    assert case.last == ("a", 2, "time", 24, 0)


def since_follows_the_new_version() -> None:
    case = Case()
    case.track(0, "view")
    case.track(5, "buy")
    case.publish(audience("a", BOUGHT))
    assert case.publish(audience("a", {"event": ["view", "buy"], "within": "1d"})) == []
    assert case.members() == {"a": 0}
    case.passes(30)
    assert case.last == ("a", 2, "time", 29, 0)


def a_timer_of_the_cuts_instant_fires_after_it() -> None:
    case = Case()
    case.track(0, "buy")
    case.track(24, "view", "bob")
    assert case.publish(audience("a", BOUGHT)) == [("a", 1, "backfill", 24, 0)]
    case.passes(25)
    assert case.last == ("a", 2, "time", 24, 0)


def a_new_name_moves_nobody() -> None:
    case = Case()
    case.publish(audience("a", BOUGHT))
    case.track(0, "buy")
    case.publish(audience("a", BOUGHT, name="another"), sweep=False)
    case.passes(24)
    assert case.sweep() == [], "and what is due at this very instant is left to time"
    case.passes(25)
    assert case.last == ("a", 2, "time", 24, 0)


def an_instant_at_the_cut_that_the_shadow_skipped_is_decided() -> None:
    case = Case(skips=True)
    case.track(0, "buy")
    hours = (DAY - START % DAY) / HOUR  # the midnight after
    case.track(hours, "view", id="seen")  # the live row notes the id, so that it stands at this instant
    case.publish(audience("a", {"event": "buy"}, type="batch", schedule="daily"))
    case.passes(hours + 1)
    assert case.members() == {"a": hours}


def what_the_history_knows_of_attributes_counts() -> None:
    first = {
        "type": "profile",
        "user_id": "ann",
        "set": {"plan": "pro", "age": 5},
        "identities": {"email": "a@b"},
    }
    case = Case((-9, first))
    case.profile(1, set_once={"plan": "free"}, add={"age": 1})
    told = case.publish(
        audience("a", {"attribute": "plan", "eq": "pro"}), audience("b", {"attribute": "age", "eq": 6})
    )
    assert told == [("a", 1, "backfill", 1, -9), ("b", 1, "backfill", 1, 1)]
    row = case.live.profiles.read(b"ann")
    assert row is not None
    assert row.first_ms == ms(-9)
    assert row.identities == {"email": "a@b"}


def identities_of_the_history_are_claimed_as_of_the_first_record() -> None:
    first = {"user_id": "ann", "event": "buy", "identities": {"email": "a@b", "phone": "1"}}
    case = Case((-9, first), (-8, first | {"user_id": "old"}))
    case.profile(1, identities={"phone": None})
    case.publish(audience("a", {"event": "buy"}), sweep=False)
    claims: list[tuple[str, str, float]] = []
    while case.live.sweeping:
        step = case.live.sweep(1)
        claims += [(each.user_id, each.value, hours_of(each.time_ms)) for _, each in step.claims]
        settled(case.live, step)
    assert sorted(claims) == [("ann", "a@b", -9), ("old", "1", -8), ("old", "a@b", -8)]


def users_of_the_history_alone_are_there() -> None:
    seen = {"user_id": "old", "event": "view"}
    case = Case((-9, seen), (-8, seen | {"user_id": "older", "event": "leave"}), skips=True)
    assert case.publish(audience("a", NEVER_LEFT)) == [("a", 1, "backfill", -8, -9)]
    assert case.members("old") == {"a": -9}
    assert case.members("older") == {}
    case.track(1, "leave", "old")
    assert case.last == ("a", 2, "event", 1, -9)


def an_id_of_the_history_is_known_again() -> None:
    case = Case((-2, {"user_id": "ann", "event": "buy", "id": "one"}))
    case.publish(audience("a", {"event": "buy", "count": {"gte": 2}}))
    case.track(1, "buy", id="one")
    assert case.members() == {}


def users_whose_records_are_skipped_are_in_since_they_came() -> None:
    case = Case(skips=True)
    case.track(0, "view")
    case.track(3, "view", "bob")
    case.track(9, "buy", "bob")
    case.publish(audience("a", {"not": {"event": "buy"}}))
    assert case.members() == {"a": 0}
    assert case.members("bob") == {}


def members_taken_in_silence_are_counted() -> None:
    case = Case()
    case.track(0, "buy")
    silent = audience("a", BOUGHT, backfill={"existing": "silent"})
    told = case.publish(silent, audience("b", {"audience": "a"}))
    assert told == [("b", 1, "backfill", 0, 0)]
    keys = {each.id: each.key for each in case.live.rules.project("default").audiences}
    assert case.live.profiles.members.sizes[keys["a"]] == 1
    case.passes(25)
    assert [story(each)[:3] for each in case.told[-2:]] == [("a", 2, "time"), ("b", 2, "time")]


def a_row_that_the_graft_makes_too_large_stays_as_it_was() -> None:
    case = Case(skips=True, limits=Limits(changelog_bytes=2_000))
    case.profile(0, set={"x": "x" * 500})
    for at in range(40):
        case.track(at / 100, "view", properties={"p": f"{at:010}"})
    case.track(1, "buy")
    case.track(1, "buy", "bob")
    case.publish(audience("b", {"event": "buy"}))
    many = {"event": "view", "distinct": {"property": "p", "gte": 60}, "within": "7d"}
    told = case.publish(audience("b", {"event": ["buy", "view"]}), audience("a", {"not": many}))
    assert [each[0] for each in told] == ["a"], "only bob is in"
    case.track(2, "buy")
    case.passes(300)
    assert case.members() == {"b": 1}


def a_row_from_before_the_upgrade_is_bound_by_what_it_tells() -> None:
    case = Case(skips=True)
    case.track(0, "view")
    row = case.live.profiles.load([b"ann"])[b"ann"]
    row.first = None
    case.publish(audience("a", {"not": {"event": "buy"}}))
    assert case.members() == {"a": 0}
    assert [each.entered_at_is_bound for each in case.told] == [True]


CASES = {
    each.__name__: each
    for each in (
        an_edit_tells_the_difference,
        seq_goes_on_over_an_edit,
        an_id_that_comes_back_goes_on_counting,
        what_is_deleted_goes_at_the_cut,
        who_asks_about_an_edited_audience_goes_along,
        an_audience_asked_for_how_long_knows_it_from_the_history,
        a_stay_that_may_have_begun_before_the_history_is_marked,
        a_timer_of_a_new_audience_fires_in_rows_that_are_grafted_late,
        since_follows_the_new_version,
        a_timer_of_the_cuts_instant_fires_after_it,
        a_new_name_moves_nobody,
        an_instant_at_the_cut_that_the_shadow_skipped_is_decided,
        what_the_history_knows_of_attributes_counts,
        users_of_the_history_alone_are_there,
        an_id_of_the_history_is_known_again,
        users_whose_records_are_skipped_are_in_since_they_came,
        members_taken_in_silence_are_counted,
        a_row_that_the_graft_makes_too_large_stays_as_it_was,
        a_row_from_before_the_upgrade_is_bound_by_what_it_tells,
    )
}
