//! Event conditions of every aggregate over every window that depends on the instant alone
//! (`rules/aggregates/general.py`). The commonest have faster kinds of their own.

use super::accumulator::{Accumulator, Series, read};
use super::aggregate_condition::{Aggregated, position, position_or};
use super::windows::{Window, before, up_to};
use crate::conditions::{Condition, Taken, UnreadableState};
use crate::row::codec::state_bytes;
use crate::row::{Row, State, Stored};
use crate::time::FAR_MS;

/// State: [event times ascending, their accumulators].
pub struct GeneralAggregate<A> {
    common: Aggregated,
    window: Window,
    accumulator: A,
    /// Time takes events in and out.
    moves: bool,
    has_timers: bool,
    /// One more event, if it left the truth as it was, can only have put the next timer off.
    only_later: bool,
}

impl<A: Accumulator> GeneralAggregate<A> {
    pub fn new(common: Aggregated, window: Window, accumulator: A) -> GeneralAggregate<A> {
        let moves = !matches!(window, Window::Always { .. });
        let has_timers = moves || accumulator.ages();
        let only_later =
            !has_timers || (common.compare.is_at_least() && accumulator.grows() && window.joins_at_once());
        GeneralAggregate { common, window, accumulator, moves, has_timers, only_later }
    }

    /// Keep one more event, with those alike if there are some.
    fn take(&self, series: &mut Series<A::Part>, event_ms: i64, sample: A::Part) {
        let (first, last) = self.window.alike(event_ms);
        let at = before(&series.times, first);
        if series.times.get(at).is_some_and(|each| *each <= last) {
            self.accumulator.merge(series, at, event_ms, sample);
        } else {
            series.insert(at, event_ms, sample);
        }
    }

    /// Let go of what can't matter any more, and of what is too much.
    fn thin(&self, series: &mut Series<A::Part>, low: i64, now_ms: i64) {
        if self.moves {
            series.drop_first(before(&series.times, low));
            let joined = up_to(&series.times, self.window.high(now_ms));
            self.accumulator.thin(&self.window, series, joined);
        }
        let over = series.times.len().saturating_sub(self.common.max_samples);
        if over > 0 {
            self.common.drop_samples(over);
            series.drop_first(over);
        }
    }

    fn series_mut<'r>(&self, row: &'r mut Row, index: usize) -> Option<&'r mut Series<A::Part>> {
        match &mut row.conditions.get_mut(index)?.1 {
            State::Accumulated(state) => A::series_mut(state),
            _ => None,
        }
    }
}

/// The state's times and accumulators, if it is one of this kind.
pub fn series_of<A: Accumulator>(state: Option<&State>) -> Option<&Series<A::Part>> {
    if let Some(State::Accumulated(state)) = state { A::series(state) } else { None }
}

/// A state from the row's bytes.
pub fn read_state<A: Accumulator>(stored: Stored) -> Result<State, UnreadableState> {
    match read::<A>(stored) {
        Some(state) => Ok(State::Accumulated(Box::new(state))),
        None => Err(UnreadableState("accumulators are event times and as many lists".into())),
    }
}

impl<A: Accumulator> Condition for GeneralAggregate<A> {
    fn key(&self) -> u32 {
        self.common.key
    }

    fn has_timers(&self) -> bool {
        self.has_timers
    }

    fn value(&self, _row: &Row, state: Option<&State>, at_ms: i64) -> bool {
        let none = Series::default();
        let series = series_of::<A>(state).unwrap_or(&none);
        let (first, end) = self.window.counting(&series.times, at_ms);
        self.accumulator.holds(series, first, end, at_ms)
    }

    fn next_timer(&self, _row: &Row, state: &State, after_ms: i64) -> Option<i64> {
        let none = Series::default();
        let series = series_of::<A>(Some(state)).unwrap_or(&none);
        let mut rolling = A::Rolling::default();
        let (mut first, mut end) = self.window.counting(&series.times, after_ms);
        let now = self.accumulator.rolls(&mut rolling, series, first, end, after_ms);
        let mut at_ms = after_ms;
        loop {
            let moved_ms = self.window.next_change(&series.times, at_ms);
            at_ms = moved_ms.min(self.accumulator.next_change(series, first, end, at_ms));
            if at_ms >= FAR_MS {
                return None;
            }
            (first, end) = self.window.counting(&series.times, at_ms);
            if self.accumulator.rolls(&mut rolling, series, first, end, at_ms) != now {
                return Some(at_ms);
            }
        }
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        if !self.common.admits(event) {
            return false;
        }
        let key = self.common.key;
        let before = self.only_later.then(|| self.value(row, row.state(key), event.decided_ms));
        let low = self.window.low(event.now_ms);
        let counts = event.event_ms >= low && self.window.admits(event.event_ms);
        let sample = if counts { self.accumulator.sample(event.event_ms, event.properties) } else { None };
        if sample.is_none() && (!self.moves || row.state(key).is_none()) {
            return false;
        }
        let bytes = state_bytes(row.state(key));
        let index = match sample {
            Some(sample) => {
                let new = || State::Accumulated(Box::new(A::accumulated(Series::default())));
                let index = position_or(row, key, new);
                if let Some(series) = self.series_mut(row, index) {
                    self.take(series, event.event_ms, sample);
                }
                Some(index)
            }
            None => position(row, key),
        };
        if let Some(index) = index {
            let series = self.series_mut(row, index);
            if series.is_none_or(|series| {
                self.thin(series, low, event.now_ms);
                series.times.is_empty()
            }) {
                row.conditions.remove(index);
            }
        }
        if state_bytes(row.state(key)) == bytes {
            return false;
        }
        if before.is_none_or(|before| self.value(row, row.state(key), event.now_ms) != before) {
            touched.push(key);
        }
        true
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        read_state::<A>(stored)
    }

    fn take_dropped(&self) -> u64 {
        self.common.take_dropped()
    }
}
