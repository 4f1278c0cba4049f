//! Deciding: what one record, or the passing of time, does to one user (`rules/decide/decide.py`).
//!
//! Invariant between steps: every timer at or before `row.now_ms` is decided, and no audience changes by time
//! before `row.timer_ms`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::conditions::Taken;
use crate::input::Update;
use crate::row::Row;
use crate::row::attributes::change_attributes;
use crate::rules::ProjectRules;
use crate::time::FAR_MS;
use crate::value::Map;

pub mod predict;
pub mod send;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    Event,
    Profile,
    Time,
}

impl Cause {
    pub fn text(self) -> &'static str {
        match self {
            Cause::Event => "event",
            Cause::Profile => "profile",
            Cause::Time => "time",
        }
    }
}

/// One user entering (odd `seq`) or leaving an audience: the parts of a transition that the record doesn't say.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Index of the audience.
    pub audience: usize,
    pub seq: i64,
    pub at_ms: i64,
    pub cause: Cause,
    pub entered_at_ms: i64,
    pub exit_at_ms: Option<i64>,
}

/// Room that deciding uses again and again.
#[derive(Default)]
pub struct Scratch {
    touched: Vec<usize>,
    keys: Vec<u32>,
    waiting: BinaryHeap<Reverse<usize>>,
    indexes: Vec<usize>,
}

/// Decide the user's timers due before `before_ms`, each at its own instant, in order of time.
pub fn fire(
    rules: &ProjectRules,
    row: &mut Row,
    before_ms: i64,
    out: &mut Vec<Change>,
    scratch: &mut Scratch,
) {
    while row.timer_ms.is_some_and(|timer_ms| timer_ms < before_ms) {
        let (at_ms, later_ms) = next_timers(rules, row, scratch);
        if at_ms >= before_ms {
            row.timer_ms = timer(at_ms);
            return;
        }
        row.now_ms = at_ms;
        row.timer_ms = timer(later_ms);
        decide(rules, row, at_ms, Cause::Time, out, scratch);
    }
}

fn timer(at_ms: i64) -> Option<i64> {
    (at_ms < FAR_MS).then_some(at_ms)
}

/// When, after the row's last step, an audience may next change by time, and when others may; `touched` are
/// those that may first.
fn next_timers(rules: &ProjectRules, row: &Row, scratch: &mut Scratch) -> (i64, i64) {
    let now_ms = row.now_ms;
    let (mut earliest_ms, mut later_ms) = (FAR_MS, FAR_MS);
    let Scratch { touched, indexes, .. } = scratch;
    touched.clear();
    let mut look = |indexes: &mut Vec<usize>, earliest_ms: &mut i64, later_ms: &mut i64| {
        indexes.sort_unstable();
        indexes.dedup();
        for index in indexes.drain(..) {
            let timer_ms = rules.audiences[index].rule.change(row, now_ms);
            if timer_ms < *earliest_ms {
                (*earliest_ms, *later_ms) = (timer_ms, *earliest_ms);
                touched.clear();
                touched.push(index);
            } else if timer_ms == *earliest_ms {
                touched.push(index);
            } else if timer_ms < *later_ms {
                *later_ms = timer_ms;
            }
        }
    };
    indexes.clear();
    rules.by_time.of(row, indexes);
    look(indexes, &mut earliest_ms, &mut later_ms);
    for group in &rules.by_time.batch_groups {
        match group.schedule.next(now_ms) {
            Some(computed_ms) if computed_ms <= earliest_ms => {
                group.of(row, indexes);
                look(indexes, &mut earliest_ms, &mut later_ms);
            }
            // Others come first: what then changes is looked for when they have.
            Some(computed_ms) if computed_ms < later_ms => later_ms = computed_ms,
            _ => {}
        }
    }
    (earliest_ms, later_ms)
}

/// One event at the partition clock's `now_ms`. Earlier timers must have fired (`fire`).
///
/// `time_ms` is the producer's; it is clamped to now. `known` is false for a user's first record: audiences
/// that hold with no facts are entered, too. Says whether the row changed in anything that must be kept.
#[allow(clippy::too_many_arguments)]
pub fn apply_event(
    rules: &ProjectRules,
    row: &mut Row,
    name: &str,
    time_ms: i64,
    properties: &Map<'_>,
    now_ms: i64,
    known: bool,
    out: &mut Vec<Change>,
    scratch: &mut Scratch,
) -> bool {
    scratch.touched.clear();
    if !known || row.timer_ms.is_some_and(|timer_ms| timer_ms <= now_ms) {
        due_now(rules, row, now_ms, known, &mut scratch.touched);
    }
    let decided_ms = if row.now_ms == now_ms { now_ms } else { now_ms - 1 };
    let mut changed = !known;
    let index = rules.event(name);
    let event = Taken { name, properties, event_ms: time_ms.min(now_ms), decided_ms, now_ms };
    scratch.keys.clear();
    for condition in &index.always {
        changed |= condition.update(row, &event, &mut scratch.keys);
    }
    for (attribute, by_value) in &index.by_value {
        let Some(crate::value::Value::Str(text)) = properties.get(attribute.as_str()) else { continue };
        let Some(conditions) = by_value.get(&**text) else { continue };
        for condition in conditions {
            changed |= condition.update(row, &event, &mut scratch.keys);
        }
    }
    for key in &scratch.keys {
        rules.readers_of(*key, row, &mut scratch.touched);
    }
    row.now_ms = now_ms;
    if scratch.touched.is_empty() {
        return changed;
    }
    let before = out.len();
    decide(rules, row, now_ms, Cause::Event, out, scratch);
    changed || out.len() > before
}

/// One profile update at `now_ms`; as `apply_event` for the rest.
pub fn apply_profile(
    rules: &ProjectRules,
    row: &mut Row,
    update: &Update<'_>,
    now_ms: i64,
    known: bool,
    out: &mut Vec<Change>,
    scratch: &mut Scratch,
) -> bool {
    scratch.touched.clear();
    due_now(rules, row, now_ms, known, &mut scratch.touched);
    let names = change_attributes(row, update, now_ms, &rules.watched);
    for name in &names {
        rules.attribute_readers_of(name, row, &mut scratch.touched);
    }
    row.now_ms = now_ms;
    let before = out.len();
    if !scratch.touched.is_empty() {
        decide(rules, row, now_ms, Cause::Profile, out, scratch);
    }
    !known || !names.is_empty() || out.len() > before
}

/// The audiences that a record at `now_ms` must look at whatever it holds.
fn due_now(rules: &ProjectRules, row: &mut Row, now_ms: i64, known: bool, touched: &mut Vec<usize>) {
    if !known {
        touched.extend_from_slice(&rules.initial);
    }
    if row.timer_ms.is_some_and(|timer_ms| timer_ms <= now_ms) {
        // A timer due at this very instant is decided in one step with the record.
        rules.by_time.of(row, touched);
        for group in &rules.by_time.batch_groups {
            group.of(row, touched);
        }
        row.timer_ms = None;
    }
}

/// Decide the `touched` audiences and those that ask about them, at one instant: each gives its net change.
fn decide(
    rules: &ProjectRules,
    row: &mut Row,
    at_ms: i64,
    cause: Cause,
    out: &mut Vec<Change>,
    scratch: &mut Scratch,
) {
    let mut timer_ms = row.timer_ms.unwrap_or(FAR_MS);
    let emitted = out.len();
    let waiting = &mut scratch.waiting;
    waiting.clear();
    waiting.extend(scratch.touched.drain(..).map(Reverse));
    let mut last = usize::MAX;
    while let Some(Reverse(index)) = waiting.pop() {
        if index == last {
            continue;
        }
        last = index;
        let audience = &rules.audiences[index];
        if !audience.is_still {
            timer_ms = timer_ms.min(audience.rule.change(row, at_ms));
        }
        if audience.rule.truth(row, at_ms) == row.is_in(audience.key) {
            continue;
        }
        out.push(turn(rules, row, index, at_ms, cause));
        waiting.extend(audience.dependents.iter().copied().map(Reverse));
    }
    row.timer_ms = timer(timer_ms);
    if rules.is_nested && out.len() > emitted + 1 {
        out[emitted..]
            .sort_by(|one, other| rules.audiences[one.audience].id.cmp(&rules.audiences[other.audience].id));
    }
}

/// The user enters the audience, or leaves it: note it in the row, and tell it.
fn turn(rules: &ProjectRules, row: &mut Row, index: usize, at_ms: i64, cause: Cause) -> Change {
    let audience = &rules.audiences[index];
    let entered_at_ms = match row.membership(audience.key) {
        Some(before) if before.inside() => row.since_ms(before),
        _ => at_ms,
    };
    let membership = row.turn(audience.key, audience.version, at_ms);
    let exit_at_ms = if membership.inside() { predict::exit(rules, index, row, row.now_ms) } else { None };
    Change { audience: index, seq: membership.seq, at_ms, cause, entered_at_ms, exit_at_ms }
}
