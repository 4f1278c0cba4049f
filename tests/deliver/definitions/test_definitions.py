"""Definitions of destinations: read, refused with every problem at once, published as they were written."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from agents.deliver.content.messages import read_transition
from agents.deliver.content.selector import Selector
from agents.deliver.definitions.destination import Destination, KafkaTopic, Secret, Variable, Webhook
from agents.deliver.definitions.parse import load_destinations, parse_destinations
from agents.deliver.definitions.published import Destinations, PublishedDestination, group_of
from agents.evaluate.transitions import TransitionBody, encode_transition, transition_body
from agents.registry.definitions import definition_record
from rules.parse.problems import DefinitionsInvalid
from rules.state.row import Cause, Trigger
from tests.stage.delivery import transition
from tests.stage.delivery_engine import destination, message

CRM = """
name: crm
kind: webhook
audiences: [buyers, cart_abandoners]
transitions: enter
existing_members: true
where: {cause: {ne: definition}, trigger.event: buy}
id_type: email
retry: {for: 1d, first: 2s, most: 1m}
rate: 50
webhook:
  url: {secret: CRM_URL}
  headers: {Authorization: {secret: CRM_TOKEN}, X-Kind: plain}
  variables:
    name: {attribute: profile.nick, default: Member}
    price: {property: price}
  json: {text: "Dear ${name}", price: "${price}", fixed: [1, true, null]}
  signing_secret: {secret: CRM_SIGN}
  timeout: 5s
"""
LAKE = "{name: lake, kind: eventhub, body: lytics, eventhub: {connection_string: {secret: HUB}, hub: x}}"
MEMBERS = "{name: m, kind: kafka, kafka: {topic: 'm.${audience}', membership: true, fields: {uid: user_id}}}"


def test_everything_of_a_definition_is_read() -> None:
    found = destination(CRM)
    assert found.audiences == {"buyers", "cart_abandoners"}
    assert found.transitions == {"enter"}
    assert (found.existing_members, found.id_type, found.rate) == (True, "email", 50)
    assert (found.retry.for_ms, found.retry.first_ms, found.retry.most_ms) == (86_400_000, 2_000, 60_000)
    target = found.target
    assert isinstance(target, Webhook)
    assert target.url == Secret("CRM_URL")
    assert target.headers == {"Authorization": Secret("CRM_TOKEN"), "X-Kind": "plain"}
    assert target.variables["name"] == Variable("attribute", ("profile", "nick"), "Member")
    assert target.json == {"text": "Dear ${name}", "price": "${price}", "fixed": (1, True, None)}
    assert target.timeout_ms == 5_000
    members = destination(MEMBERS).target
    assert isinstance(members, KafkaTopic)
    assert members.fields == {"uid": "user_id"}


OF_CAUSES = "{name: m, kind: kafka, kafka: {topic: t}, causes: %s}"


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("[event, time]", {"event", "time"}),
        ("{except: [backfill, definition]}", {"event", "profile", "time", "merge", "delete", "manual"}),
        ("{except: [merge]}", {"event", "profile", "time", "definition", "backfill", "delete", "manual"}),
    ],
)
def test_a_destination_may_leave_out_causes(written: str, wanted: set[str]) -> None:
    selector = Selector(destination(OF_CAUSES % written))
    all_causes: tuple[str, ...] = get_args(Cause)
    assert {cause for cause in all_causes if selector.wants(transition_of(cause))} == wanted


def test_without_causes_it_gets_all() -> None:
    selector = Selector(destination(MEMBERS))
    assert all(selector.wants(transition_of(cause)) for cause in get_args(Cause))


ON_EVENT = "{name: m, kind: kafka, on: event, %s, kafka: {topic: t, fields: {price: properties.price}}}"


def test_a_destination_may_get_events() -> None:
    found = destination(
        ON_EVENT % "audiences: [a], events: [view, {event: [buy, sell], where: {price: {gt: 1}}}]"
    )
    assert (found.on, found.audiences) == ("event", {"a"})
    assert [each.names for each in found.events] == [("view",), ("buy", "sell")]
    assert (found.events[0].where, found.events[1].where is None) == (None, False)
    assert destination(ON_EVENT % "events: view").events == found.events[:1]
    assert destination(MEMBERS).on == "transition"


def test_events_go_to_the_destination_that_they_are_for_and_transitions_to_none_of_those() -> None:
    wants = Selector(destination(ON_EVENT % "where: {properties.price: {gt: 1}}")).wants
    plain = Selector(destination("{name: m, kind: kafka, kafka: {topic: t}}")).wants
    price = Trigger("buy", None, 0, b'{"price": 2}')

    def event_of(name: str, trigger: Trigger = price, **changed: object) -> TransitionBody:
        return read_transition(
            encode_transition(transition("u1", 1, destination=name, trigger=trigger, **changed))[0]
        )

    assert wants(event_of("m"))
    assert not plain(event_of("m"))
    assert not wants(event_of("other"))
    assert not wants(event_of("m", project="p"))
    assert not wants(event_of("m", Trigger("buy", None, 0, b'{"price": 1}')))
    assert not wants(transition_of("event"))


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("on: event, transitions: enter", "transitions"),
        ("on: event, causes: [event]", "causes"),
        ("on: event, existing_members: true", "existing_members"),
        ("on: event, body: lytics", "body"),
        ("on: both", "on"),
        ("events: [buy]", "events"),
        ("on: event, events: [{where: {a: 1}}]", "events[0]"),
        ("on: event, events: [{event: buy, within: 1h}]", "events[0].within"),
        ("on: event, events: [7]", "events[0]"),
        ("where: {properties.price: 1}", "where.properties"),
        ("on: event, where: {price: 1}", "where.price"),
    ],
)
def test_what_only_transitions_or_events_can_be_is_refused(written: str, path: str) -> None:
    _, problems = parse_destinations(f"{{name: m, kind: kafka, {written}, kafka: {{topic: t}}}}", "f.yaml")
    assert [each.path for each in problems] == [path]


def transition_of(cause: str) -> TransitionBody:
    return transition_body(transition("u1", 1, cause=cause))


def test_where_knows_whether_the_begin_of_a_stay_is_bound() -> None:
    bound = transition_body(transition("u1", 1, entered_at_is_bound=True))
    for written, wanted in (("true", [bound]), ("false", [transition_of("event")])):
        where = f"where: {{entered_at_is_bound: {written}}}"
        selector = Selector(destination(f"{{name: m, kind: kafka, kafka: {{topic: t}}, {where}}}"))
        assert [each for each in (bound, transition_of("event")) if selector.wants(each)] == wanted


@pytest.mark.parametrize("text", [CRM, LAKE, MEMBERS, OF_CAUSES % "{except: [backfill]}"])
def test_what_is_published_reads_back_the_same(text: str) -> None:
    published = PublishedDestination(destination(text), 3, 2)
    assert Destinations("t").decode(*definition_record(published)) == published


def test_json_is_read_like_yaml() -> None:
    text = msgspec.json.encode(destination(CRM).document).decode()
    assert load_destinations([("crm.json", text)]) == [destination(CRM)]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("{kind: kafka, kafka: {topic: t}}", "1:1", "needs 'name'"),
        ("{name: 'a b', kind: kafka, kafka: {topic: t}}", "1:8", "1 to 64 letters"),
        ("{name: a, kind: kafak, kafka: {topic: t}}", "1:17", "did you mean 'kafka'?"),
        (OF_CAUSES % "[event, tme]", "1:59", "did you mean 'time'?"),
        (OF_CAUSES % "[]", "1:51", "empty list"),
        (OF_CAUSES % "{execpt: [time]}", "1:52", "did you mean 'except'?"),
        (OF_CAUSES % "{}", "1:51", "{except: a list}"),
        (OF_CAUSES % "backfill", "1:51", "must be a list"),
        (
            OF_CAUSES % "{except: [event, profile, time, definition, backfill, merge, delete, manual]}",
            "1:51",
            "no cause is left",
        ),
        (OF_CAUSES % "{except: [backfill]}, existing_members: true", "1:91", "leaves out backfill"),
        ("{name: a, kind: kafka}", "1:1", "needs 'kafka'"),
        ("{name: a, kind: kafka, kafka: {topic: t, topc: t}}", "1:42", "did you mean 'topic'?"),
        ("{name: a, kind: kafka, kafka: {topic: '${usr}'}}", "1:39", "no variable 'usr'"),
        (
            "{name: a, kind: kafka, kafka: {topic: t}, webhook: {}}",
            "1:52",
            "no effect, because kind is kafka",
        ),
        ("{name: a, kind: kafka, where: {cuase: x}, kafka: {topic: t}}", "1:31", "did you mean 'cause'?"),
        ("{name: a, kind: kafka, retry: {for: 3}, kafka: {topic: t}}", "1:37", "must be text"),
        (
            "{name: a, kind: kafka, kafka: {topic: t, sasl_password: {secret: X}}}",
            "1:57",
            "no effect without",
        ),
        ("{name: a, kind: eventhub, eventhub: {connection_string: x}}", "1:57", "not be written down"),
        ("{name: a, kind: kafka, kafka: {topic: t, ssl_cafile: x}}", "1:54", "no effect without 'bootstrap'"),
        ("{name: a, kind: webhook, webhook: {url: 'ftp://x'}}", "1:41", "https:// or http://"),
        ("{name: a, kind: webhook, webhook: {url: 'http://u:p@x'}}", "1:41", "user name and password"),
        ("{name: a, kind: webhook, webhook: {url: 'http://${id}.x'}}", "1:41", "can't hold a variable"),
        ("{name: a, kind: webhook, webhook: {url: 'http://x', form: {}, json: {}}}", "1:59", "both"),
        ("{name: a, kind: webhook, webhook: {url: 'http://x', json: '${nme}'}}", "1:59", "variable 'nme'"),
        ("{name: a, kind: eventhub, eventhub: {}}", "1:37", "give one of the two"),
        (
            "{name: a, kind: webhook, webhook: {url: 'http://x', headers: {Api-Key: abc}}}",
            "1:72",
            "looks like a secret",
        ),
    ],
)
def test_a_problem_has_its_place_and_a_hint(text: str, place: str, words: str) -> None:
    _, problems = parse_destinations(text, "d.yaml")
    shown = [str(each) for each in problems]
    assert len(shown) == 1, shown
    assert f"d.yaml:{place}:" in shown[0]
    assert words in shown[0]


def test_all_problems_of_all_files_are_told_at_once() -> None:
    with pytest.raises(DefinitionsInvalid) as caught:
        load_destinations([("a.yaml", LAKE), ("b.yaml", f"destinations: [{LAKE}, {{kind: x}}, 7]")])
    told = str(caught.value).splitlines()
    assert len(told) == 4, told
    assert "name 'lake' is taken" in told[0] or "name 'lake' is taken" in told[-1]


def test_changes_are_planned_and_one_that_comes_back_has_a_group_of_its_own() -> None:
    lake, other = destination(LAKE), destination(LAKE.replace("hub: x", "hub: y"))
    known = Destinations("t")
    (created,) = known.plan([lake], 1)
    assert (created.action, group_of("p", created.published)) == ("created", "p.deliver.lake")
    known.published["lake"] = created.published
    assert [each.action for each in known.plan([lake], 2)] == ["unchanged"]
    (changed,) = known.plan([other], 2)
    assert (changed.action, changed.published.version, changed.published.generation) == ("changed", 2, 1)
    known.published["lake"] = PublishedDestination(lake, 2, 1, deleted=True)
    (again,) = known.plan([lake], 2)
    assert (again.action, again.published.version) == ("created", 3)
    assert group_of("p", again.published) == "p.deliver.lake.2"


def selects(text: str, **changed: object) -> bool:
    found: Destination = destination(text)
    return Selector(found).wants(message(transition("u1", 1, **changed)).transitions[0])  # type: ignore[arg-type]


def test_a_destination_gets_what_it_asked_for() -> None:
    def text(more: str) -> str:
        return f"{{name: a, kind: kafka, {more} kafka: {{topic: t}}}}"

    assert selects(text(""))
    assert not selects(text(""), project="other")
    assert selects(text("project: other,"), project="other")
    assert selects(text("audiences: [b, a],"))
    assert not selects(text("audiences: [b],"))
    assert selects(text("transitions: enter,"))
    assert not selects(text("transitions: exit,"))
    assert selects(text("where: {trigger.event: buy, cause: {in: [event, time]}},"))
    assert not selects(text("where: {trigger.event: sell},"))
