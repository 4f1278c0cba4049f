//! Batch audiences: decided at compute instants, and held in between (`rules/conditions/batch.py`).
//!
//! At a compute instant c the rule sees the records applied up to c, but no event whose time is c itself. So a
//! condition of a batch audience keeps two states while the clock stands at c: one without such events, which
//! c is decided by, and one with them, which goes on from there. Between compute instants an audience's value is
//! the membership that the latest one left, so whoever decides must have decided that.

use std::sync::Arc;

use super::truth::Node;
use super::{Built, Condition, Taken, UnreadableState};
use crate::predicates::Tables;
use crate::row::codec::write_state;
use crate::row::stored::{instant, list};
use crate::row::{Row, State, Stored};
use crate::spec::{AudienceSpec, ConditionSpec, ProjectSpec, UnknownRule};
use crate::time::FAR_MS;
use crate::time::schedules::Schedule;
use crate::value::msgpack::Writer;

/// How many compute instants are looked at before the last of them is the answer, a lower bound.
const MAX_LOOKS: usize = 64;

/// The state of a batch audience's condition. Inner states are none where the condition keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct HeldState {
    /// The inner condition's, of all events but those at a compute instant at which the clock stands.
    decided: Option<State>,
    /// Where such events have come: the instant, and the inner condition's state of all events, which counts
    /// after the instant.
    after: Option<(i64, Option<State>)>,
}

impl HeldState {
    /// The inner state that counts at an instant.
    fn seen(&self, at_ms: i64) -> Option<&State> {
        match &self.after {
            Some((instant_ms, with_instant)) if at_ms > *instant_ms => with_instant.as_ref(),
            _ => self.decided.as_ref(),
        }
    }

    fn is_nothing(&self) -> bool {
        self.decided.is_none() && self.after.is_none()
    }

    /// All three parts, where there is such an instant.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.array_header(if self.after.is_some() { 3 } else { self.decided.iter().count() });
        if let Some((instant_ms, after)) = &self.after {
            write_inner(out, self.decided.as_ref());
            out.int(*instant_ms);
            write_inner(out, after.as_ref());
        } else if let Some(decided) = &self.decided {
            write_state(out, decided);
        }
    }
}

fn write_inner(out: &mut Writer<'_>, state: Option<&State>) {
    match state {
        Some(state) => write_state(out, state),
        None => out.array_header(0),
    }
}

/// A condition of a batch audience, around that of a realtime one.
pub struct BatchCondition {
    inner: Box<dyn Condition>,
    schedule: Arc<Schedule>,
}

/// The schedule of a batch audience; it was created when this version was published.
pub fn schedule_of(audience: &AudienceSpec, tables: &Tables) -> Result<Option<Schedule>, UnknownRule> {
    let build = |each| Schedule::build(each, &tables.calendar(&audience.zone)?, audience.published_ms);
    audience.schedule.as_ref().map(build).transpose()
}

impl BatchCondition {
    /// The condition of a batch audience around that of a realtime one; others stay as they are.
    pub fn around(inner: Box<dyn Condition>, spec: &ConditionSpec, project: &ProjectSpec) -> Built {
        if !spec.is_held {
            return Ok(inner);
        }
        let audience = spec.batch.and_then(|index| project.audiences.get(index));
        match audience.map(|each| schedule_of(each, &project.tables)).transpose()?.flatten() {
            Some(schedule) => Ok(Box::new(BatchCondition { inner, schedule: Arc::new(schedule) })),
            None => Err(UnknownRule(format!("no schedule for the condition {}", spec.key))),
        }
    }

    /// The inner condition takes an event into one of the states. Whether that changed it.
    fn take(&self, state: &mut Option<State>, event: &Taken<'_, '_>) -> bool {
        let mut scratch = Row::bare(0);
        let key = self.inner.key();
        scratch.conditions.extend(state.take().map(|state| (key, state)));
        let changed = self.inner.update(&mut scratch, event, &mut Vec::new());
        *state = scratch.pop_state(key).filter(|state| !state.is_nothing());
        changed
    }

    /// Take an event into the states that it counts in. Whether that changed one.
    fn take_held(&self, held: &mut HeldState, event: &Taken<'_, '_>) -> bool {
        let now_ms = event.now_ms;
        if event.event_ms == now_ms && self.schedule.latest(now_ms) == Some(now_ms) {
            if let Some((instant_ms, after)) = &mut held.after {
                let changed = self.take(after, event);
                if changed {
                    *instant_ms = now_ms;
                }
                return changed;
            }
            let mut after = held.decided.clone();
            let changed = self.take(&mut after, event);
            if changed {
                held.after = Some((now_ms, after));
            }
            return changed;
        }
        let changed = self.take(&mut held.decided, event);
        match &mut held.after {
            Some((_, after)) => self.take(after, event) || changed,
            None => changed,
        }
    }
}

impl Condition for BatchCondition {
    fn key(&self) -> u32 {
        self.inner.key()
    }

    /// An event that came at a compute instant counts right after it.
    fn has_timers(&self) -> bool {
        true
    }

    /// Exact at compute instants from the latest event's clock on.
    fn value(&self, row: &Row, state: Option<&State>, at_ms: i64) -> bool {
        let held = if let Some(State::Held(held)) = state { Some(held) } else { None };
        self.inner.value(row, held.and_then(|held| held.seen(at_ms)), at_ms)
    }

    fn next_timer(&self, row: &Row, state: &State, after_ms: i64) -> Option<i64> {
        let State::Held(held) = state else { return None };
        let timer_ms = match held.seen(after_ms.saturating_add(1)) {
            Some(seen) if self.inner.has_timers() => self.inner.next_timer(row, seen, after_ms),
            _ => None,
        };
        match &held.after {
            Some((instant_ms, _)) if after_ms <= *instant_ms => {
                let joins_ms = instant_ms.saturating_add(1);
                Some(timer_ms.map_or(joins_ms, |timer_ms| timer_ms.min(joins_ms)))
            }
            _ => timer_ms,
        }
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        let key = self.key();
        // It comes back to its place, or is taken away.
        let taken = row.state_mut(key).map(|state| std::mem::replace(state, State::Count(0)));
        let was_kept = taken.is_some();
        let mut held = if let Some(State::Held(held)) = taken { held } else { Box::default() };
        // An instant that is over: what it was decided by goes, if the event changes anything.
        let over = match &mut held.after {
            Some((instant_ms, after)) if *instant_ms < event.now_ms => {
                let decided = std::mem::replace(&mut held.decided, after.take());
                Some((decided, *instant_ms))
            }
            _ => None,
        };
        if over.is_some() {
            held.after = None;
        }
        let changed = self.take_held(&mut held, event);
        if let (false, Some((decided, instant_ms))) = (changed, over) {
            held.after = Some((instant_ms, std::mem::replace(&mut held.decided, decided)));
        }
        if changed && held.is_nothing() {
            row.pop_state(key);
        } else if changed || was_kept {
            row.put_state(key, State::Held(held));
        }
        if changed {
            touched.push(key);
        }
        changed
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        let inner = |stored: Stored| match stored {
            Stored::List(items) if items.is_empty() => Ok(None),
            other => self.inner.read(other).map(Some),
        };
        let mut parts = list(stored)?.into_iter();
        let held = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (None, ..) => HeldState::default(),
            (Some(decided), None, ..) => HeldState { decided: inner(decided)?, after: None },
            (Some(decided), Some(instant_ms), Some(after), None) => {
                HeldState { decided: inner(decided)?, after: Some((instant(instant_ms)?, inner(after)?)) }
            }
            _ => return Err(UnreadableState("a held state has one part, or three".into())),
        };
        Ok(State::Held(Box::new(held)))
    }

    fn take_dropped(&self) -> u64 {
        self.inner.take_dropped()
    }
}

/// A batch audience: `rule` at the latest compute instant, over conditions that are `BatchCondition`s.
pub struct BatchTruth {
    /// Of the audience, in `Row::audiences`.
    pub key: u32,
    pub rule: Node,
    pub schedule: Arc<Schedule>,
}

impl BatchTruth {
    /// The value at an instant no earlier than the row's last step. Between compute instants it is the
    /// membership; at one, and after one that the row hasn't come to yet, it is the rule's.
    pub fn truth(&self, row: &Row, at_ms: i64) -> bool {
        let Some(computed_ms) = self.schedule.latest(at_ms) else {
            return false;
        };
        if computed_ms == at_ms || computed_ms > row.now_ms {
            return self.rule.truth(row, computed_ms);
        }
        row.is_in(self.key)
    }

    /// The first compute instant after `after_ms` at which the value changes if nothing more happens, or an
    /// earlier one; `FAR_MS`: never.
    pub fn change(&self, row: &Row, after_ms: i64) -> i64 {
        let now = self.truth(row, after_ms);
        let mut at_ms = after_ms;
        for _ in 0..MAX_LOOKS {
            let Some(computed_ms) = self.schedule.next(at_ms) else {
                return FAR_MS;
            };
            at_ms = computed_ms;
            if self.rule.truth(row, at_ms) != now {
                return at_ms;
            }
            let timer_ms = self.rule.change(row, at_ms);
            if timer_ms >= FAR_MS {
                return FAR_MS;
            }
            at_ms = at_ms.max(timer_ms - 1);
        }
        at_ms
    }
}
