//! Conditions on sums, exact whatever the order in which amounts come and go (`rules/aggregates/sums.py`).
//! `value::exact` has the arithmetic.

use super::aggregate_condition::{Aggregated, position, position_or};
use crate::conditions::{Condition, Taken, UnreadableState};
use crate::predicates::paths::Getter;
use crate::row::codec::state_bytes;
use crate::row::event_times::{instants, place, reference, slots};
use crate::row::{Row, State, Stored, Sums};
use crate::value::exact::{Exact, add_exactly, fsum, number_of, round_9};

/// State: the exact sum as non-overlapping floats (Shewchuk 1997, as math.fsum keeps it).
pub struct SumEver {
    common: Aggregated,
    get: Getter,
}

impl SumEver {
    pub fn new(common: Aggregated, get: Getter) -> SumEver {
        SumEver { common, get }
    }

    fn holds(&self, exact: &[f64]) -> bool {
        self.common.compare.holds_of_float(rounded(exact))
    }
}

/// The value of an exact sum; 0 for nothing.
fn rounded(exact: &[f64]) -> f64 {
    round_9(fsum(exact.iter().copied()))
}

impl Condition for SumEver {
    fn key(&self) -> u32 {
        self.common.key
    }

    fn has_timers(&self) -> bool {
        false
    }

    fn value(&self, _row: &Row, state: Option<&State>, _at_ms: i64) -> bool {
        self.holds(if let Some(State::Sum(exact)) = state { exact } else { &[] })
    }

    fn next_timer(&self, _row: &Row, _state: &State, _after_ms: i64) -> Option<i64> {
        None
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        if !self.common.admits(event) {
            return false;
        }
        let key = self.common.key;
        let Some(number) = number_of(self.get.of(event.properties)) else { return false };
        let index = position_or(row, key, || State::Sum(Exact::new()));
        let State::Sum(exact) = &mut row.conditions[index].1 else { return false };
        let before = exact.clone();
        add_exactly(exact, number);
        let is_changed = *exact != before;
        if is_changed && self.holds(exact) != self.holds(&before) {
            touched.push(key);
        }
        if exact.is_empty() {
            row.conditions.remove(index);
        }
        is_changed
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        Ok(State::Sum(read_floats(stored)?.into()))
    }
}

/// State: [references ascending by time, the events' values, their exact sum as in SumEver].
pub struct SumWithin {
    common: Aggregated,
    get: Getter,
    length_ms: i64,
}

impl SumWithin {
    pub fn new(common: Aggregated, get: Getter, length_ms: i64) -> SumWithin {
        SumWithin { common, get, length_ms }
    }

    fn holds(&self, row: &Row, sums: &Sums, at_ms: i64) -> bool {
        let gone = place(row, &sums.refs, at_ms - self.length_ms);
        let sum = if gone == 0 { rounded(&sums.exact) } else { rounded(&without(sums, gone)) };
        self.common.compare.holds_of_float(sum)
    }

    /// Whether one more event, if it left the truth as it was, can only have put the next timer off.
    fn timers_only_later(&self, sums: &Sums) -> bool {
        self.common.compare.is_at_least()
            && sums.refs.len() < self.common.max_samples
            && sums.values.iter().all(|each| *each >= 0.0)
    }

    fn take(&self, row: &mut Row, index: usize, event_ms: i64, number: f64) {
        let State::Sums(sums) = &row.conditions[index].1 else { return };
        let at = place(row, &sums.refs, event_ms);
        let slot = reference(row, event_ms);
        if let State::Sums(sums) = &mut row.conditions[index].1 {
            sums.refs.insert(at, slot);
            sums.values.insert(at, number);
            add_exactly(&mut sums.exact, number);
        }
    }

    /// Whether the event is earlier than as many others as are kept.
    fn is_too_much(&self, row: &Row, event_ms: i64) -> bool {
        sums_of(row.state(self.common.key)).is_some_and(|sums| {
            sums.refs.len() == self.common.max_samples && place(row, &sums.refs, event_ms) == 0
        })
    }

    /// Let go of what is past the horizon, and of what is too much. Whether there was any.
    fn thin(&self, row: &mut Row, index: usize, horizon: i64) -> bool {
        let State::Sums(sums) = &row.conditions[index].1 else { return false };
        let mut gone = place(row, &sums.refs, horizon);
        let over = (sums.refs.len() - gone).saturating_sub(self.common.max_samples);
        if over > 0 {
            self.common.drop_samples(over);
            gone += over;
        }
        if gone == 0 {
            return false;
        }
        if let State::Sums(sums) = &mut row.conditions[index].1 {
            for expired in sums.values.drain(..gone) {
                add_exactly(&mut sums.exact, -expired);
            }
            sums.refs.drain(..gone);
        }
        true
    }
}

/// The exact sum without that of the first so many.
fn without(sums: &Sums, gone: usize) -> Exact {
    let mut rest = sums.exact.clone();
    for expired in sums.values.iter().take(gone) {
        add_exactly(&mut rest, -expired);
    }
    rest
}

fn sums_of(state: Option<&State>) -> Option<&Sums> {
    if let Some(State::Sums(sums)) = state { Some(sums) } else { None }
}

impl Condition for SumWithin {
    fn key(&self) -> u32 {
        self.common.key
    }

    fn has_timers(&self) -> bool {
        true
    }

    fn value(&self, row: &Row, state: Option<&State>, at_ms: i64) -> bool {
        match sums_of(state) {
            Some(sums) => self.holds(row, sums, at_ms),
            None => self.common.compare.holds_of_int(0),
        }
    }

    fn next_timer(&self, row: &Row, state: &State, after_ms: i64) -> Option<i64> {
        let sums = sums_of(Some(state))?;
        let mut gone = place(row, &sums.refs, after_ms - self.length_ms);
        let mut rest = without(sums, gone);
        let times = instants(row, &sums.refs);
        let now = self.common.compare.holds_of_float(rounded(&rest));
        while let Some(expiring) = times.get(gone) {
            while times.get(gone) == Some(expiring) {
                if let Some(value) = sums.values.get(gone) {
                    add_exactly(&mut rest, -value);
                }
                gone += 1;
            }
            if self.common.compare.holds_of_float(rounded(&rest)) != now {
                return Some(expiring + self.length_ms);
            }
        }
        None
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        if !self.common.admits(event) {
            return false;
        }
        let key = self.common.key;
        let before = self.value(row, row.state(key), event.decided_ms);
        let horizon = event.now_ms - self.length_ms;
        let mut number = number_of(self.get.of(event.properties)).filter(|_| event.event_ms > horizon);
        if number.is_some() && self.is_too_much(row, event.event_ms) {
            self.common.drop_samples(1);
            number = None;
        }
        let index = match number {
            Some(_) => position_or(row, key, || State::Sums(Box::default())),
            None => match position(row, key) {
                Some(index) => index,
                None => return false,
            },
        };
        // The event may take the place of its like: only then nothing is another though it was taken.
        let is_full = sums_of(row.state(key)).is_some_and(|sums| sums.refs.len() >= self.common.max_samples);
        let full = is_full.then(|| state_bytes(row.state(key)));
        if let Some(number) = number {
            self.take(row, index, event.event_ms, number);
        }
        let is_thinned = self.thin(row, index, horizon);
        if number.is_none() && !is_thinned || full.is_some_and(|full| full == state_bytes(row.state(key))) {
            return false;
        }
        if sums_of(Some(&row.conditions[index].1)).is_none_or(|sums| sums.refs.is_empty()) {
            row.conditions.remove(index);
        }
        let state = row.state(key);
        if self.value(row, state, event.now_ms) != before
            || !sums_of(state).is_none_or(|sums| self.timers_only_later(sums))
        {
            touched.push(key);
        }
        true
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        let unreadable = || UnreadableState("sums are references, values and their exact sum".into());
        let Stored::List(parts) = stored else { return Err(unreadable()) };
        let Ok([Stored::Str(refs), values, exact]) = <[Stored; 3]>::try_from(parts) else {
            return Err(unreadable());
        };
        let (refs, values, exact) = (slots(&refs), read_floats(values)?, read_floats(exact)?.into());
        if refs.len() != values.len() {
            return Err(unreadable());
        }
        Ok(State::Sums(Box::new(Sums { refs, values, exact })))
    }

    fn take_dropped(&self) -> u64 {
        self.common.take_dropped()
    }
}

/// A list of finite floats, nothing else.
pub fn read_floats(stored: Stored) -> Result<Vec<f64>, UnreadableState> {
    let floats = match stored {
        Stored::List(parts) => parts.into_iter().map(|each| match each {
            Stored::Float(number) if number.is_finite() => Some(number),
            _ => None,
        }),
        _ => return Err(UnreadableState("floats are a list".into())),
    };
    floats.collect::<Option<_>>().ok_or_else(|| UnreadableState("a sum is of floats".into()))
}
