//! Rows with states of every kind whose bytes are not what anybody wrote: an error or a row, and no panic.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::tests::{DAY_MS, KEY, condition};
use super::{Condition, Taken};
use crate::row::Row;
use crate::row::codec::{Conditions, decode, encode};
use crate::value::{Map, Value};

struct Only(Box<dyn Condition>);

impl Conditions for Only {
    fn condition(&self, key: u32) -> Option<&dyn Condition> {
        (key == KEY).then_some(&*self.0)
    }
}

/// (kind, comparison's operand, window)
const AGGREGATES: [(&str, i64, Option<i64>); 14] = [
    ("count", 2, None),
    ("count", 2, Some(9)),
    ("sum", 2, None),
    ("sum", 2, Some(9)),
    ("distinct", 2, None),
    ("distinct", 2, Some(9)),
    ("avg", 1, Some(9)),
    ("min", 1, Some(9)),
    ("max", 1, None),
    ("days", 2, Some(2 * DAY_MS)),
    ("first", 1, Some(9)),
    ("last", 1, None),
    ("since_last", 5, Some(9)),
    ("since_first", 5, None),
];

fn aggregate(kind: &str, operand: i64, length_ms: Option<i64>) -> Json {
    let has_none = matches!(kind, "count" | "days" | "since_last" | "since_first");
    let is_test = matches!(kind, "first" | "last");
    let comparison = json!({"is": "Comparison", "operator": "gte", "operand": operand});
    let test = json!({"is": "Test", "path": ["n"], "operator": "gte", "operand": operand});
    json!({
        "is": "EventCondition", "names": ["a"], "where": null,
        "window": length_ms.map(|length_ms| json!({"is": "Within", "length_ms": length_ms})),
        "aggregate": {
            "is": "Aggregate", "kind": kind, "property": if has_none { json!(null) } else { json!(["n"]) },
            "comparisons": if is_test { json!([]) } else { json!([comparison]) },
            "test": if is_test { test } else { json!(null) },
        },
    })
}

fn pattern(name: &str, r#where: Json) -> Json {
    json!({"is": "EventPattern", "names": [name], "where": r#where})
}

/// Sequences and what isn't followed; `has_refs`: with slots, of elements of lists, too.
fn patterns(is_sequence: bool, has_refs: bool, has_more: bool) -> Json {
    let to = json!({"is": "Ref", "step": "a", "path": ["n"]});
    let test = json!({"is": "Test", "path": [], "operator": "eq", "operand": to});
    let some = json!({"is": "Elements", "path": ["l"], "quantifier": "some", "test": test});
    let equal = json!({"is": "Test", "path": ["n"], "operator": "ne", "operand": to});
    let r#where = if has_refs { json!({"is": "AnyTest", "parts": [some, equal]}) } else { json!(null) };
    let window = json!({"is": "Within", "length_ms": 9});
    if !is_sequence {
        return json!({
            "is": "NotFollowed", "event": pattern("a", json!(null)), "follower": pattern("b", r#where),
            "for_ms": 3, "window": if has_more { window } else { json!(null) }, "still": has_more,
        });
    }
    let step = |name, r#where, within_ms: Option<i64>| {
        let event = pattern(name, r#where);
        json!({"is": "SequenceStep", "event": event, "within_ms": within_ms, "name": name})
    };
    json!({
        "is": "Sequence", "steps": [step("a", json!(null), None), step("b", r#where, has_more.then_some(4))],
        "without": if has_more { pattern("c", json!(null)) } else { json!(null) },
        "total_ms": null, "window": if has_more { window } else { json!(null) },
    })
}

fn source(kind: usize) -> Json {
    match AGGREGATES.get(kind) {
        Some((kind, operand, length_ms)) => aggregate(kind, *operand, *length_ms),
        None => {
            let kind = kind - AGGREGATES.len();
            patterns(kind & 1 == 1, kind & 2 == 2, kind & 4 == 4)
        }
    }
}

fn value(number: usize) -> Value<'static> {
    match number {
        0 => Value::Int(1),
        1 => Value::Float(0.1),
        2 => Value::Str("a".into()),
        3 => Value::Int(i64::MAX),
        _ => Value::Null,
    }
}

/// Name, value, ms since the one before, ms late.
type Event = (usize, usize, i64, i64);

fn take(condition: &dyn Condition, row: &mut Row, events: &[Event]) {
    for (name, number, step_ms, late_ms) in events {
        let list = Value::List(vec![value(*number), Value::Int(1)]);
        let properties: Map<'static> =
            [("n".into(), value(*number)), ("l".into(), list)].into_iter().collect();
        let now_ms = row.now_ms.saturating_add(*step_ms);
        let event = Taken {
            name: ["a", "b", "c"][*name],
            properties: &properties,
            event_ms: now_ms.saturating_sub(*late_ms),
            decided_ms: row.now_ms,
            now_ms,
        };
        condition.update(row, &event, &mut Vec::new());
        row.now_ms = now_ms;
        condition.value(row, row.state(KEY), now_ms.saturating_add(3));
        row.state(KEY).map(|state| condition.next_timer(row, state, now_ms));
    }
}

/// Bytes replaced, put in and taken out, each at a place in proportion.
fn change(bytes: &mut Vec<u8>, changes: &[(u16, u8, u8)]) {
    for (place, kind, byte) in changes {
        let at = usize::from(*place) * bytes.len() / (1 << 16);
        match kind {
            0 => bytes.insert(at, *byte),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            _ if at < bytes.len() => bytes[at] = *byte,
            _ => {}
        }
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0..3usize, 0..5usize, 0..4i64, prop_oneof![Just(0), 0..9i64]), 1..12)
}

/// In states msgpack's first bytes matter most: integers, texts, lists and what is none.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), 0x90..0x95u8, 0xc0..0xd4u8, 0xff..=0xffu8]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_row_or_an_error(
        kind in 0..AGGREGATES.len() + 8,
        is_daily: bool,
        before in events(),
        changes in prop::collection::vec((any::<u16>(), 0..4u8, byte()), 1..4),
        after in events(),
    ) {
        let rules = Only(condition(source(kind), 5, is_daily));
        let mut row = Row::new(10 * DAY_MS - 5);
        take(&*rules.0, &mut row, &before);
        let mut bytes = encode(&row);
        let mut row = decode(&bytes, &rules).expect("what was written can be read");
        prop_assert_eq!(&encode(&row), &bytes);
        take(&*rules.0, &mut row, &after);
        change(&mut bytes, &changes);
        if let Ok(mut row) = decode(&bytes, &rules) {
            encode(&row);
            take(&*rules.0, &mut row, &after);
            encode(&row);
        }
    }
}
