"""Audiences of every shape, for hypothesis."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from hypothesis import strategies as st

from rules.model import language
from rules.parse.audience import SCHEDULES
from rules.parse.window import PERIODS
from rules.time.durations import LONGEST_MS
from rules.time.instants import MAX_MS, MIN_MS

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
words = ["a", "b", "price", "größe", "x y", "true", "null", "__", "~", "é\u2028"]
names = st.sampled_from([*words, "1"])
paths = st.lists(st.sampled_from(words), min_size=1, max_size=3).map(tuple) | st.just(("1",))
quantifiers = st.sampled_from(["some", "every", "none"])
integers = st.integers(-(2**63), 2**63 - 1)
numbers = integers | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
instants = st.sampled_from(["2024-01-01", "2024-05-01T09:30:00Z", "2024-05-01T09:30:00.123+08:00"])


def ends(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(values, values).map(lambda pair: tuple(sorted(pair)))  # type: ignore[type-var]


durations = st.integers(1, LONGEST_MS)
operators = st.one_of(
    st.tuples(st.sampled_from(["eq", "ne", "contains", "not_contains"]), scalars),
    st.tuples(
        st.sampled_from(["in", "not_in", "any_of", "all_of"]),
        st.lists(scalars, min_size=1, max_size=3).map(tuple),
    ),
    st.tuples(st.sampled_from(["gt", "gte", "lt", "lte"]), numbers | instants),
    st.tuples(st.just("between"), ends(numbers) | ends(instants)),
    st.tuples(st.sampled_from(["starts_with", "ends_with", "icontains", "ieq"]), text),
    st.tuples(st.just("matches"), st.sampled_from(["a+", "^x|y$", "\\d"])),
    st.tuples(st.just("exists"), st.booleans()),
    st.tuples(st.sampled_from(["older_than", "newer_than", "in_next", "anniversary"]), durations),
    st.tuples(st.just("between_next"), ends(durations).filter(lambda pair: pair[0] != pair[1])),
)
changes = st.tuples(st.just("changed_within"), durations)


def predicates_with(refs: st.SearchStrategy[language.Ref]) -> st.SearchStrategy[language.Predicate]:
    referring = st.tuples(st.sampled_from(["eq", "ne", "gt", "lte", "contains", "starts_with", "ieq"]), refs)
    return st.recursive(
        st.builds(lambda path, operator: language.Test(path, *operator), paths, operators | referring),
        lambda inner: (
            st.builds(language.AllTests, st.lists(inner, min_size=1, max_size=3).map(tuple))
            | st.builds(language.AnyTest, st.lists(inner, min_size=1, max_size=3).map(tuple))
            | st.builds(language.NotTest, inner)
            | st.builds(language.Elements, paths, quantifiers, inner)
            | st.builds(
                lambda path, operator: language.Elements(path, "some", language.Test((), *operator)),
                paths,
                operators,
            )
        ),
        max_leaves=6,
    )


predicates = predicates_with(st.nothing())


@st.composite
def comparisons(draw: st.DrawFn, values: st.SearchStrategy[object]) -> tuple[language.Comparison, ...]:
    chosen = draw(st.lists(st.sampled_from(["gt", "gte", "lt", "lte", "eq", "ne", "between"]),
                           min_size=1, max_size=3, unique=True))  # fmt: skip
    return tuple(
        language.Comparison(each, draw(ends(values) if each == "between" else values))  # type: ignore[arg-type]
        for each in chosen
    )


@st.composite
def of_one_property(
    draw: st.DrawFn, allowed: st.SearchStrategy[tuple[str, object]]
) -> tuple[language.Path, language.Predicate]:
    path = draw(paths)
    chosen = draw(st.lists(allowed, min_size=1, max_size=3, unique_by=lambda each: each[0]))
    made = tuple(language.Test(path, *each) for each in chosen)
    return path, made[0] if len(made) == 1 else language.AllTests(made)


counts = st.integers(0, 999)
aggregates = (
    st.builds(language.Aggregate, st.sampled_from(["count", "days"]), st.none(), comparisons(counts))
    | st.builds(
        language.Aggregate, st.sampled_from(["sum", "avg", "min", "max"]), paths, comparisons(numbers)
    )
    | st.builds(language.Aggregate, st.just("distinct"), paths, comparisons(counts))
    | st.builds(
        language.Aggregate, st.sampled_from(["since_last", "since_first"]), st.none(), comparisons(durations)
    )
    | st.builds(
        lambda kind, of: language.Aggregate(kind, of[0], (), of[1]),
        st.sampled_from(["first", "last"]),
        of_one_property(operators),
    )
)
event_names = st.sets(names, min_size=1, max_size=3).map(lambda chosen: tuple(sorted(chosen))) | st.just(
    ("*",)
)
ids = st.sampled_from(["vip", "a", "B_2"])
pairs = st.tuples(durations, durations).filter(lambda pair: pair[0] != pair[1])
moments = st.integers(MIN_MS, MAX_MS)
fixed = (
    st.builds(language.FromTo, moments, st.none())
    | st.builds(language.FromTo, st.none(), moments)
    | st.lists(moments, min_size=2, max_size=2, unique=True).map(lambda two: language.FromTo(*sorted(two)))
)
periods = st.sampled_from(list(PERIODS.values())) | st.builds(
    language.Period, st.sampled_from(["hour", "day", "week", "month"]), st.integers(1, 999), st.just(0)
)
plain_windows = st.none() | durations.map(language.Within) | fixed | periods
windows = (
    plain_windows
    | pairs.map(lambda pair: language.BetweenAgo(max(pair), min(pair)))
    | ids.map(language.SinceEntry)
)
event_conditions = st.builds(
    language.EventCondition, event_names, st.none() | predicates, aggregates, windows
)


def patterns(refs: st.SearchStrategy[language.Ref]) -> st.SearchStrategy[language.EventPattern]:
    return st.builds(language.EventPattern, event_names, st.none() | predicates_with(refs))


not_followed = st.builds(
    language.NotFollowed,
    patterns(st.nothing()),
    patterns(paths.map(lambda path: language.Ref("a", path))),
    durations,
    plain_windows,
    st.booleans(),
).filter(lambda each: not isinstance(each.window, language.Within) or each.window.length_ms > each.for_ms)


@st.composite
def sequences(draw: st.DrawFn) -> language.Sequence:
    steps: list[language.SequenceStep] = []
    named: list[str] = []
    for at in range(draw(st.integers(2, 4))):
        refs = st.builds(language.Ref, st.sampled_from(named), paths) if named else st.nothing()
        name = f"s{at}" if draw(st.booleans()) else None
        steps.append(
            language.SequenceStep(draw(patterns(refs)), draw(st.none() | durations) if at else None, name)
        )
        named += [] if name is None else [name]
    without = draw(st.none() | patterns(st.nothing()))
    return language.Sequence(tuple(steps), without, draw(st.none() | durations), draw(plain_windows))


attribute_conditions = of_one_property(operators | changes).map(lambda of: language.AttributeCondition(of[1]))
audiences_in_rules = st.builds(language.InAudience, ids, st.none() | durations)


@st.composite
def at_least(draw: st.DrawFn, inner: st.SearchStrategy[language.Rule]) -> language.AtLeast:
    parts = tuple(draw(st.lists(inner, min_size=1, max_size=3)))
    return language.AtLeast(draw(st.integers(1, len(parts))), parts)


@st.composite
def scores(draw: st.DrawFn, inner: st.SearchStrategy[language.Rule]) -> language.Score:
    points = st.integers(-10, 10) | st.floats(-10, 10)
    parts = tuple(draw(st.lists(st.tuples(inner, points), min_size=1, max_size=3)))
    operator = draw(st.sampled_from(["gte", "lte", "between"]))
    most = floor(sum(Fraction(repr(each)) for _, each in parts if each > 0))  # a sum of floats may be more
    operand = {"gte": most, "lte": 0.5, "between": (-1, most)}[operator]
    return language.Score(parts, (language.Comparison(operator, operand),))  # type: ignore[arg-type]


rules: st.SearchStrategy[language.Rule] = st.recursive(
    event_conditions | not_followed | sequences() | attribute_conditions | audiences_in_rules,
    lambda inner: (
        st.builds(language.All, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(language.Any, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(language.Not, inner)
        | at_least(inner)
        | scores(inner)
    ),
    max_leaves=4,
)
schedules = st.sampled_from(
    [
        *SCHEDULES.values(),
        language.Schedule("cron", "0 6 * * mon"),
        language.Schedule("cron", "*/5 1-3 1,15 * *"),
    ]
)
kinds = st.tuples(st.sampled_from(["realtime", "instant"]), st.none()) | st.tuples(
    st.just("batch"), schedules
)
audiences = st.builds(
    lambda kind, **rest: language.Audience(type=kind[0], schedule=kind[1], **rest),
    kind=kinds,
    id=st.from_regex(r"[A-Za-z0-9_]{1,64}", fullmatch=True),
    name=text,
    rule=rules,
    description=st.just("") | text,
    project=st.just("default") | st.from_regex(r"[A-Za-z0-9_]{1,64}", fullmatch=True),
    timezone=st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York"]),
    labels=st.lists(text, max_size=3).map(tuple),
    backfill=st.builds(
        language.Backfill, st.sampled_from(["announce", "silent"]), st.none() | st.just(0) | durations
    ),
)
