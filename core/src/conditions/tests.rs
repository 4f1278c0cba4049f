//! What sequences, what isn't followed and batch conditions keep and decide. `tests/core` compares them with the
//! Python engine's.

use serde_json::{Value as Json, json};

use super::{Condition, Taken, build};
use crate::row::{Row, State, Stored};
use crate::spec::{ConditionSpec, ProjectSpec};
use crate::value::msgpack::{Reader, Writer, read_stored};
use crate::value::{Map, Value};

pub(super) const KEY: u32 = 7;
pub(super) const DAY_MS: i64 = 86_400_000;

pub(super) fn condition(source: Json, max_samples: usize, is_daily: bool) -> Box<dyn Condition> {
    let spec: ConditionSpec = serde_json::from_value(json!({
        "key": KEY, "max_samples": max_samples, "zone": "UTC", "is_dated": false, "source": source,
        "batch": if is_daily { json!(0) } else { json!(null) }, "is_held": is_daily,
    }))
    .expect("a condition");
    let index = json!({"always": [], "by_value": []});
    let project: ProjectSpec = serde_json::from_value(json!({
        "conditions": [], "readers": [], "by_event": [], "any_event": index, "by_attribute": [], "watched": [],
        "by_time": {"conditions": [], "attributes": [], "members": [], "batch_groups": []},
        "initial": [], "is_nested": true, "destinations": [],
        "audiences": [{
            "key": 9, "id": "a", "name": "", "version": 1, "zone": "UTC", "needs": [], "published_ms": 0,
            "rule": {"is": "State", "key": KEY}, "dependents": [],
            "schedule": {"is": "Schedule", "kind": "daily", "cron": ""},
        }],
    }))
    .expect("a project");
    build::build(&spec, &project).unwrap_or_else(|unknown| panic!("{unknown}"))
}

fn pattern(name: &str, r#where: Json) -> Json {
    json!({"is": "EventPattern", "names": [name], "where": r#where})
}

fn sequence(steps: &[Json], total_ms: Json) -> Json {
    json!({"is": "Sequence", "steps": steps, "without": null, "total_ms": total_ms, "window": null})
}

fn step(name: &str, r#where: Json, called: &str) -> Json {
    json!({"is": "SequenceStep", "event": pattern(name, r#where), "within_ms": null, "name": called})
}

fn equals_that_of(called: &str) -> Json {
    json!({"is": "Test", "path": ["n"], "operator": "eq", "operand": {"is": "Ref", "step": called, "path": ["n"]}})
}

fn not_followed(for_ms: i64, still: bool) -> Json {
    json!({
        "is": "NotFollowed", "event": pattern("a", json!(null)), "follower": pattern("b", json!(null)),
        "for_ms": for_ms, "window": null, "still": still,
    })
}

/// Whether the row changed, and whether its key was touched.
fn take(
    condition: &dyn Condition,
    row: &mut Row,
    name: &str,
    n: &'static str,
    event_ms: i64,
) -> (bool, bool) {
    let properties: Map<'static> = [("n".into(), Value::Str(n.into()))].into_iter().collect();
    let now_ms = row.now_ms.max(event_ms);
    let event = Taken { name, properties: &properties, event_ms, decided_ms: now_ms - 1, now_ms };
    let mut touched = Vec::new();
    let changed = condition.update(row, &event, &mut touched);
    row.now_ms = now_ms;
    (changed, touched == [KEY])
}

fn holds(condition: &dyn Condition, row: &Row, at_ms: i64) -> bool {
    condition.value(row, row.state(KEY), at_ms)
}

fn stored(row: &Row) -> Option<Stored> {
    let mut bytes = Vec::new();
    crate::row::codec::write_state(&mut Writer(&mut bytes), row.state(KEY)?);
    Some(read_stored(&mut Reader::new(&bytes)).expect("msgpack"))
}

fn list(parts: &[Stored]) -> Stored {
    Stored::List(parts.to_vec())
}

fn ints(numbers: &[i64]) -> Stored {
    Stored::List(numbers.iter().map(|each| Stored::Int(*each)).collect())
}

#[test]
fn a_sequence_that_nothing_undoes_keeps_its_end_alone() {
    let steps = [step("a", json!(null), "s0"), step("b", json!(null), "s1")];
    let sequence = condition(sequence(&steps, json!(null)), 10, false);
    let mut row = Row::new(0);
    assert_eq!(take(&*sequence, &mut row, "b", "", 1), (true, false));
    assert_eq!(take(&*sequence, &mut row, "a", "", 2), (true, false));
    assert_eq!(stored(&row), Some(list(&[ints(&[]), ints(&[1, 2]), ints(&[2, 1])])));
    assert_eq!(take(&*sequence, &mut row, "b", "", 3), (true, true));
    assert_eq!(stored(&row), Some(list(&[ints(&[3])])));
    assert!(holds(&*sequence, &row, 3));
}

#[test]
fn a_step_with_a_reference_waits_for_the_value_that_an_earlier_one_bound() {
    let steps = [step("a", json!(null), "s0"), step("b", equals_that_of("s0"), "s1")];
    let sequence = condition(sequence(&steps, json!(null)), 10, false);
    let mut row = Row::new(0);
    take(&*sequence, &mut row, "a", "red", 1);
    take(&*sequence, &mut row, "b", "blue", 2);
    assert!(!holds(&*sequence, &row, 2));
    take(&*sequence, &mut row, "b", "red", 3);
    assert!(holds(&*sequence, &row, 3));
}

#[test]
fn long_texts_that_are_compared_for_being_equal_are_kept_as_digests() {
    const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123456789";
    let steps = [step("a", json!(null), "s0"), step("b", equals_that_of("s0"), "s1")];
    let sequence = condition(sequence(&steps, json!(null)), 10, false);
    let mut row = Row::new(0);
    take(&*sequence, &mut row, "a", LONG, 1);
    let Some(Stored::List(lists)) = stored(&row) else { panic!("no state") };
    // As Python's hashlib has it.
    let digest = "\u{0}9eb30a1e956fbf4c47b5c20c3d3ab809";
    assert_eq!(lists[3], list(&[list(&[Stored::Str(digest.into())])]));
    take(&*sequence, &mut row, "b", LONG, 2);
    assert!(holds(&*sequence, &row, 2));
}

#[test]
fn a_follower_in_time_undoes_an_event_and_a_later_one_does_if_it_must_still_hold() {
    for (still, holds_after) in [(false, true), (true, false)] {
        let condition = condition(not_followed(10, still), 10, false);
        let mut row = Row::new(0);
        take(&*condition, &mut row, "a", "", 5);
        let state = row.state(KEY).expect("a state");
        assert_eq!(condition.next_timer(&row, state, 5), Some(15));
        assert!(holds(&*condition, &row, 15) && !holds(&*condition, &row, 14));
        take(&*condition, &mut row, "b", "", 16);
        assert_eq!(holds(&*condition, &row, 16), holds_after);
    }
}

#[test]
fn an_event_at_a_compute_instant_counts_right_after_it() {
    let steps = [step("a", json!(null), "s0"), step("b", json!(null), "s1")];
    let batch = condition(sequence(&steps, json!(null)), 10, true);
    let mut row = Row::new(0);
    take(&*batch, &mut row, "a", "", DAY_MS - 1);
    assert_eq!(take(&*batch, &mut row, "b", "", DAY_MS), (true, true));
    let decided = list(&[ints(&[]), ints(&[DAY_MS - 1]), ints(&[1])]);
    assert_eq!(stored(&row), Some(list(&[decided, Stored::Int(DAY_MS), list(&[ints(&[DAY_MS])])])));
    assert!(!holds(&*batch, &row, DAY_MS) && holds(&*batch, &row, DAY_MS + 1));
    let state = row.state(KEY).expect("a state");
    assert_eq!(batch.next_timer(&row, state, DAY_MS), Some(DAY_MS + 1));
    // The instant is over, but nothing changes: the row stays as it is.
    assert_eq!(take(&*batch, &mut row, "c", "", DAY_MS + 5), (false, false));
    assert!(matches!(stored(&row), Some(Stored::List(parts)) if parts.len() == 3));
}

#[test]
fn states_of_another_shape_are_no_states() {
    let steps = [step("a", json!(null), "s0"), step("b", equals_that_of("s0"), "s1")];
    let sequence = condition(sequence(&steps, json!(null)), 10, false);
    let nothing = || ints(&[]);
    let without_slots = list(&[nothing(), ints(&[1]), ints(&[1])]);
    let other_step = list(&[nothing(), ints(&[1]), ints(&[4]), list(&[list(&[Stored::Nil])])]);
    let descending = list(&[ints(&[2, 1]), nothing(), nothing(), nothing()]);
    let forever = list(&[ints(&[i64::MAX]), nothing(), nothing(), nothing()]);
    for wrong in [without_slots, other_step, descending, forever, Stored::Nil, list(&[nothing()])] {
        assert!(sequence.read(wrong.clone()).is_err(), "{wrong:?}");
    }
    assert!(matches!(sequence.read(list(&[])), Ok(State::Stored(_))));
}
