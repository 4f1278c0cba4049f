//! Conditions on the number of events, for ever and in a sliding window (`rules/aggregates/counts.py`).

use super::aggregate_condition::{Aggregated, next_expiry_timer, position};
use crate::conditions::{Condition, Taken, UnreadableState};
use crate::row::event_times::{instants, place, reference, slots, time_of};
use crate::row::{Refs, Row, State, Stored};
use crate::time::FAR_MS;
use crate::value::msgpack::Reader;

/// State: [number of events], counted no further than the comparisons can tell apart.
pub struct CountEver {
    common: Aggregated,
    bound: i64,
}

impl CountEver {
    pub fn new(common: Aggregated) -> CountEver {
        CountEver { bound: common.compare.count_bound(), common }
    }
}

impl Condition for CountEver {
    fn key(&self) -> u32 {
        self.common.key
    }

    fn has_timers(&self) -> bool {
        false
    }

    fn value(&self, _row: &Row, state: Option<&State>, _at_ms: i64) -> bool {
        self.common.compare.holds_of_int(if let Some(State::Count(count)) = state { *count } else { 0 })
    }

    fn next_timer(&self, _row: &Row, _state: &State, _after_ms: i64) -> Option<i64> {
        None
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        if !self.common.admits(event) {
            return false;
        }
        let key = self.common.key;
        let count = match row.state(key) {
            Some(State::Count(count)) => *count,
            _ => 0,
        };
        if count >= self.bound {
            return false;
        }
        row.put_state(key, State::Count(count + 1));
        if self.common.compare.holds_of_int(count + 1) != self.common.compare.holds_of_int(count) {
            touched.push(key);
        }
        true
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        match stored {
            Stored::List(parts) => match parts.as_slice() {
                [Stored::Int(count)] => Ok(State::Count(*count)),
                _ => Err(UnreadableState("a count is one whole number".into())),
            },
            _ => Err(UnreadableState("a count is a list".into())),
        }
    }
}

/// State: references to the latest events in the window, ascending by time, no more than it takes.
pub struct CountWithin {
    common: Aggregated,
    length_ms: i64,
    bound: usize,
}

impl CountWithin {
    pub fn new(common: Aggregated, length_ms: i64) -> CountWithin {
        CountWithin { bound: common.count_bound(), length_ms, common }
    }
}

impl Condition for CountWithin {
    fn key(&self) -> u32 {
        self.common.key
    }

    fn has_timers(&self) -> bool {
        true
    }

    fn value(&self, row: &Row, state: Option<&State>, at_ms: i64) -> bool {
        let refs = refs_of(state);
        self.common.holds(refs.len() - place(row, refs, at_ms - self.length_ms))
    }

    fn next_timer(&self, row: &Row, state: &State, after_ms: i64) -> Option<i64> {
        let times = instants(row, refs_of(Some(state)));
        next_expiry_timer(&times, self.length_ms, after_ms, |count| self.common.holds(count))
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        if !self.common.admits(event) {
            return false;
        }
        let key = self.common.key;
        let horizon = event.now_ms - self.length_ms;
        let mut kept = position(row, key);
        let refs = refs_of(row.state(key));
        let is_kept = event.event_ms > horizon && is_needed(row, refs, event.event_ms, self.bound);
        if is_kept {
            let at = place(row, refs, event.event_ms);
            let slot = reference(row, event.event_ms);
            match kept.map(|index| &mut row.conditions[index].1) {
                Some(State::Refs(refs)) => refs.insert(at, slot),
                Some(other) => *other = State::Refs(Refs::from_slice(&[slot])),
                None => {
                    row.conditions.push((key, State::Refs(Refs::from_slice(&[slot]))));
                    kept = Some(row.conditions.len() - 1);
                }
            }
        }
        let Some(index) = kept else { return false };
        let refs = refs_of(Some(&row.conditions[index].1));
        let gone = place(row, refs, horizon).max(refs.len().saturating_sub(self.bound));
        if !is_kept && gone == 0 {
            return false;
        }
        if gone == refs.len() {
            row.conditions.remove(index);
        } else if let State::Refs(refs) = &mut row.conditions[index].1 {
            refs.drain(..gone);
        }
        touched.push(key);
        true
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        read_refs(&stored)
    }

    fn read_from(&self, reader: &mut Reader<'_>) -> Result<State, UnreadableState> {
        Ok(State::Refs(slots(reader.str()?)))
    }
}

/// `count >= n` in a window, the commonest kind: an event can only make it true or keep it so.
pub struct CountAtLeastWithin {
    common: Aggregated,
    length_ms: i64,
    bound: usize,
}

impl CountAtLeastWithin {
    pub fn new(common: Aggregated, length_ms: i64) -> CountAtLeastWithin {
        CountAtLeastWithin { bound: common.count_bound(), length_ms, common }
    }

    /// The earliest event that is needed: without it there are fewer than the bound.
    fn needed_ms(&self, row: &Row, state: Option<&State>) -> Option<i64> {
        let refs = refs_of(state);
        refs.len().checked_sub(self.bound).and_then(|at| refs.get(at)).map(|slot| time_of(row, *slot))
    }

    /// Of `count >= 1`: the state is one reference, to the latest event.
    fn update_latest(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        let kept = position(row, self.common.key);
        let known = kept.and_then(|index| refs_of(Some(&row.conditions[index].1)).first());
        let before_ms = known.map_or(-FAR_MS, |slot| time_of(row, *slot));
        if event.event_ms <= before_ms {
            return false;
        }
        let state = State::Refs(Refs::from_slice(&[reference(row, event.event_ms)]));
        match kept {
            Some(index) => row.conditions[index].1 = state,
            None => row.conditions.push((self.common.key, state)),
        }
        if before_ms <= event.decided_ms - self.length_ms {
            touched.push(self.common.key);
        }
        true
    }
}

impl Condition for CountAtLeastWithin {
    fn key(&self) -> u32 {
        self.common.key
    }

    fn has_timers(&self) -> bool {
        true
    }

    #[inline]
    fn value(&self, row: &Row, state: Option<&State>, at_ms: i64) -> bool {
        self.needed_ms(row, state).is_some_and(|needed_ms| needed_ms > at_ms - self.length_ms)
    }

    fn next_timer(&self, row: &Row, state: &State, after_ms: i64) -> Option<i64> {
        let timer_ms = self.needed_ms(row, Some(state))? + self.length_ms;
        (timer_ms > after_ms).then_some(timer_ms)
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        if !self.common.admits(event) {
            return false;
        }
        let horizon = event.now_ms - self.length_ms;
        if event.event_ms <= horizon {
            return false;
        }
        if self.bound == 1 {
            return self.update_latest(row, event, touched);
        }
        let key = self.common.key;
        let refs = refs_of(row.state(key));
        if !is_needed(row, refs, event.event_ms, self.bound) {
            return false;
        }
        let (size, at) = (refs.len(), place(row, refs, event.event_ms));
        let slot = reference(row, event.event_ms);
        let Some(index) = position(row, key) else {
            row.conditions.push((key, State::Refs(Refs::from_slice(&[slot]))));
            return true;
        };
        let State::Refs(refs) = &mut row.conditions[index].1 else { return false };
        refs.insert(at, slot);
        let was_true = if size < self.bound {
            if size + 1 < self.bound {
                return true;
            }
            false
        } else {
            let gone = refs.remove(0);
            time_of(row, gone) > event.decided_ms - self.length_ms
        };
        let first = refs_of(Some(&row.conditions[index].1)).first();
        let is_true = first.is_some_and(|first| time_of(row, *first) > horizon);
        // While it stays true its timer only moves later: the timer index still has a lower bound.
        if is_true != was_true {
            touched.push(key);
        }
        true
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        read_refs(&stored)
    }

    fn read_from(&self, reader: &mut Reader<'_>) -> Result<State, UnreadableState> {
        Ok(State::Refs(slots(reader.str()?)))
    }
}

/// Whether an event of this time would be one of the latest so many.
#[inline]
fn is_needed(row: &Row, refs: &[u32], event_ms: i64, bound: usize) -> bool {
    refs.len() < bound || refs.first().is_some_and(|first| time_of(row, *first) < event_ms)
}

#[inline]
fn refs_of(state: Option<&State>) -> &[u32] {
    if let Some(State::Refs(refs)) = state { refs } else { &[] }
}

fn read_refs(stored: &Stored) -> Result<State, UnreadableState> {
    match stored {
        Stored::Str(text) => Ok(State::Refs(slots(text))),
        _ => Err(UnreadableState("references to times are text".into())),
    }
}
