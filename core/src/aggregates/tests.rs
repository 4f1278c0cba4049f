//! What each kind of aggregate keeps, decides and touches. `tests/core` compares them with the Python engine's.

use serde_json::{Value as Json, json};

use crate::conditions::{Condition, Taken, build};
use crate::row::{Row, State, Stored};
use crate::spec::{ConditionSpec, ProjectSpec};
use crate::value::{Map, Value};

const KEY: u32 = 7;
const MEMBER: u32 = 9;

/// A condition of `aggregate` over `window` in UTC, of at most `max_samples` events.
fn condition(aggregate: Json, window: Json, max_samples: usize) -> Box<dyn Condition> {
    let spec: ConditionSpec = serde_json::from_value(json!({
        "key": KEY, "max_samples": max_samples, "zone": "UTC", "is_dated": false, "batch": null, "is_held": false,
        "source": {
            "is": "EventCondition", "names": ["x"], "where": null, "window": window, "aggregate": aggregate,
        },
    }))
    .expect("a condition");
    let index = json!({"always": [], "by_value": []});
    let project: ProjectSpec = serde_json::from_value(json!({
        "conditions": [], "readers": [], "by_event": [], "any_event": index, "by_attribute": [], "watched": [],
        "by_time": {"conditions": [], "attributes": [], "members": [], "batch_groups": []},
        "initial": [], "is_nested": true, "destinations": [],
        "audiences": [{
            "key": MEMBER, "id": "members", "name": "", "version": 1, "zone": "UTC", "needs": [],
            "rule": {"is": "State", "key": KEY}, "dependents": [], "schedule": null, "published_ms": 0,
        }],
    }))
    .expect("a project");
    build::build(&spec, &project).unwrap_or_else(|unknown| panic!("{unknown}"))
}

fn aggregate(kind: &str, operator: &str, operand: Json) -> Json {
    let property = if kind == "count" || kind.starts_with("since") { json!(null) } else { json!(["n"]) };
    let comparison = json!({"is": "Comparison", "operator": operator, "operand": operand});
    json!({"is": "Aggregate", "kind": kind, "property": property, "comparisons": [comparison], "test": null})
}

fn within(length_ms: i64) -> Json {
    json!({"is": "Within", "length_ms": length_ms})
}

/// The condition takes an event at the clock `now_ms`; (whether the row changed, whether its key was touched).
fn take(
    condition: &dyn Condition,
    row: &mut Row,
    event_ms: i64,
    value: Value<'static>,
    now_ms: i64,
) -> (bool, bool) {
    let properties: Map<'static> = [("n".into(), value)].into_iter().collect();
    let event = Taken { name: "x", properties: &properties, event_ms, decided_ms: now_ms - 1, now_ms };
    let mut touched = Vec::new();
    let changed = condition.update(row, &event, &mut touched);
    row.now_ms = now_ms;
    (changed, touched == [KEY])
}

fn holds(condition: &dyn Condition, row: &Row, at_ms: i64) -> bool {
    condition.value(row, row.state(KEY), at_ms)
}

fn timer(condition: &dyn Condition, row: &Row, after_ms: i64) -> Option<i64> {
    row.state(KEY).and_then(|state| condition.next_timer(row, state, after_ms))
}

#[test]
fn a_count_goes_no_further_than_the_comparisons_can_tell() {
    let count = condition(aggregate("count", "gte", json!(2)), json!(null), 10);
    let mut row = Row::new(0);
    assert_eq!(take(&*count, &mut row, 0, Value::Null, 0), (true, false));
    assert_eq!(take(&*count, &mut row, 1, Value::Null, 1), (true, true));
    assert_eq!(take(&*count, &mut row, 2, Value::Null, 2), (false, false));
    assert!(holds(&*count, &row, 2));
}

#[test]
fn the_latest_events_of_a_window_are_enough_for_at_least() {
    let count = condition(aggregate("count", "gte", json!(2)), within(100), 10);
    let mut row = Row::new(0);
    assert_eq!(take(&*count, &mut row, 0, Value::Null, 0), (true, false));
    assert_eq!(take(&*count, &mut row, 10, Value::Null, 10), (true, true));
    assert_eq!(timer(&*count, &row, 10), Some(100));
    // It stays true for longer: nobody need look.
    assert_eq!(take(&*count, &mut row, 20, Value::Null, 20), (true, false));
    assert_eq!(timer(&*count, &row, 20), Some(110));
    // A late one, earlier than both that are kept, changes nothing.
    assert_eq!(take(&*count, &mut row, 5, Value::Null, 20), (false, false));
    assert_eq!(timer(&*count, &row, 20), Some(110));
    assert!(holds(&*count, &row, 109) && !holds(&*count, &row, 110));
}

#[test]
fn a_count_that_may_be_too_high_is_looked_at_with_every_event() {
    let count = condition(aggregate("count", "lte", json!(1)), within(100), 10);
    let mut row = Row::new(0);
    assert!(holds(&*count, &row, 0));
    assert_eq!(take(&*count, &mut row, 0, Value::Null, 0), (true, true));
    assert_eq!(take(&*count, &mut row, 0, Value::Null, 0), (true, true));
    assert!(!holds(&*count, &row, 0));
    assert_eq!(timer(&*count, &row, 0), Some(100));
    // All that was kept is past the horizon, as is the event: no state is left.
    assert_eq!(take(&*count, &mut row, 0, Value::Null, 100), (true, true));
    assert!(row.state(KEY).is_none());
}

#[test]
fn amounts_leave_a_sum_without_a_trace() {
    let sum = condition(aggregate("sum", "gte", json!(0.3)), within(100), 10);
    let mut row = Row::new(0);
    assert_eq!(take(&*sum, &mut row, 0, Value::Float(0.1), 0), (true, false));
    assert_eq!(take(&*sum, &mut row, 50, Value::Float(0.2), 50), (true, true));
    assert!(holds(&*sum, &row, 99) && !holds(&*sum, &row, 100));
    assert_eq!(timer(&*sum, &row, 50), Some(100));
    assert_eq!(take(&*sum, &mut row, 120, Value::Str("no number".into()), 120), (true, false));
    let Some(State::Sums(sums)) = row.state(KEY) else { panic!("sums") };
    assert_eq!((sums.values.as_slice(), sums.exact.as_slice()), (&[0.2][..], &[0.2][..]));
}

#[test]
fn samples_beyond_the_most_are_dropped_and_counted() {
    let sum = condition(aggregate("sum", "gte", json!(3)), within(100), 2);
    let mut row = Row::new(0);
    for each in 0..4 {
        take(&*sum, &mut row, each, Value::Int(1), each);
    }
    assert_eq!((sum.take_dropped(), sum.take_dropped()), (2, 0));
    assert!(!holds(&*sum, &row, 3));
}

#[test]
fn a_value_counts_once_and_where_it_was_last() {
    let distinct = condition(aggregate("distinct", "gte", json!(2)), within(100), 10);
    let mut row = Row::new(0);
    take(&*distinct, &mut row, 0, Value::Int(1), 0);
    take(&*distinct, &mut row, 30, Value::Float(1.0), 30);
    assert!(!holds(&*distinct, &row, 30));
    take(&*distinct, &mut row, 40, Value::Bool(true), 40);
    take(&*distinct, &mut row, 20, Value::Int(1), 40);
    assert!(holds(&*distinct, &row, 40));
    assert_eq!(timer(&*distinct, &row, 40), Some(130));
}

#[test]
fn whole_numbers_and_floats_are_told_apart_exactly_by_an_extreme() {
    let greatest = condition(aggregate("max", "gt", json!(9_007_199_254_740_992i64)), json!(null), 10);
    let mut row = Row::new(0);
    take(&*greatest, &mut row, 0, Value::Float(9_007_199_254_740_992.0), 0);
    assert!(!holds(&*greatest, &row, 0));
    take(&*greatest, &mut row, 1, Value::Int(9_007_199_254_740_993), 1);
    assert!(holds(&*greatest, &row, 1));
}

#[test]
fn days_since_the_last_event_pass_by_themselves() {
    let since = condition(aggregate("since_last", "gte", json!(50)), json!(null), 10);
    let mut row = Row::new(0);
    assert_eq!(take(&*since, &mut row, 10, Value::Null, 10), (true, true));
    assert!(!holds(&*since, &row, 59) && holds(&*since, &row, 60));
    assert_eq!(timer(&*since, &row, 10), Some(60));
}

#[test]
fn events_count_from_the_latest_entry_on() {
    let since =
        condition(aggregate("sum", "gte", json!(2)), json!({"is": "SinceEntry", "audience": "members"}), 10);
    let mut row = Row::new(0);
    take(&*since, &mut row, 5, Value::Int(2), 5);
    assert!(!holds(&*since, &row, 5));
    row.turn(MEMBER, 1, 6);
    assert!(!holds(&*since, &row, 6));
    assert_eq!(take(&*since, &mut row, 5, Value::Int(2), 7), (false, false));
    assert_eq!(take(&*since, &mut row, 6, Value::Int(2), 7), (true, true));
    assert!(holds(&*since, &row, 7));
}

#[test]
fn a_state_of_another_shape_is_unreadable() {
    let text = |text: &str| Stored::Str(text.into());
    let count = condition(aggregate("count", "gte", json!(2)), within(100), 10);
    assert!(count.read(text("\u{1}")).is_ok());
    assert!(count.read(Stored::Int(1)).is_err());
    let sum = condition(aggregate("sum", "gte", json!(2)), within(100), 10);
    let one = || Stored::List(vec![Stored::Float(1.0)]);
    assert!(sum.read(Stored::List(vec![text("\u{1}"), one(), one()])).is_ok());
    assert!(sum.read(Stored::List(vec![text("\u{1}\u{2}"), one(), one()])).is_err());
    let mean = condition(aggregate("avg", "gte", json!(2)), within(100), 10);
    let times = |times: &[i64]| Stored::List(times.iter().map(|each| Stored::Int(*each)).collect());
    let part = || Stored::List(vec![Stored::Int(1), Stored::Float(2.0)]);
    let state = || Stored::List(vec![times(&[1, 2]), Stored::List(vec![part(), part()])]);
    match mean.read(state()) {
        Ok(State::Accumulated(read)) => assert_eq!(read.stored(), state()),
        other => panic!("{other:?}"),
    }
    assert!(mean.read(Stored::List(vec![times(&[2, 1]), Stored::List(vec![part(), part()])])).is_err());
    assert!(mean.read(Stored::List(vec![times(&[1]), Stored::List(vec![part(), part()])])).is_err());
}
