//! Events since the latest entry into another audience (`rules/conditions/nested.py`, SinceEntryCondition). It
//! reads the memberships of the row, so that audience must have been decided before. `truth::Node::Member` is
//! being in one.

use super::{Condition, Taken, UnreadableState};
use crate::aggregates::accumulator::{Accumulator, Series};
use crate::aggregates::aggregate_condition::{Aggregated, position_or};
use crate::aggregates::general::{read_state, series_of};
use crate::aggregates::windows::before;
use crate::row::codec::state_bytes;
use crate::row::{Row, State, Stored};
use crate::time::FAR_MS;

/// State: [event times ascending, their accumulators], at most two: one for all earlier events, one for those
/// at the latest clock. These count in a new stay, too, if the user leaves and enters at this very instant.
pub struct SinceEntryCondition<A> {
    common: Aggregated,
    /// The audience's key.
    audience: u32,
    accumulator: A,
    /// At an instant only earlier events count, as in batch audiences.
    strictly: bool,
}

impl<A: Accumulator> SinceEntryCondition<A> {
    pub fn new(common: Aggregated, audience: u32, accumulator: A, strictly: bool) -> SinceEntryCondition<A> {
        SinceEntryCondition { common, audience, accumulator, strictly }
    }

    /// When the user came in, if the user is in.
    fn entered_ms(&self, row: &Row) -> Option<i64> {
        let membership = row.membership(self.audience).filter(|each| each.inside())?;
        Some(row.since_ms(membership))
    }

    /// The stretch that counts.
    fn counting(&self, row: &Row, times: &[i64], at_ms: i64) -> (usize, usize) {
        let Some(entered_ms) = self.entered_ms(row) else { return (times.len(), times.len()) };
        let end = if self.strictly { before(times, at_ms) } else { times.len() };
        (before(times, entered_ms).min(end), end)
    }

    fn take(&self, series: &mut Series<A::Part>, event_ms: i64, sample: A::Part, low: i64, now_ms: i64) {
        series.drop_first(before(&series.times, low));
        if let [_, second] = series.times.as_slice()
            && *second < now_ms
        {
            let (second_ms, part) = series.remove(1);
            self.accumulator.merge(series, 0, second_ms, part);
        }
        let is_now = event_ms == now_ms;
        let at = if is_now { before(&series.times, now_ms) } else { 0 };
        if series.times.get(at).is_some_and(|each| (*each == now_ms) == is_now) {
            self.accumulator.merge(series, at, event_ms, sample);
        } else {
            series.insert(at, event_ms, sample);
        }
    }
}

impl<A: Accumulator> Condition for SinceEntryCondition<A> {
    fn key(&self) -> u32 {
        self.common.key
    }

    fn has_timers(&self) -> bool {
        self.strictly || self.accumulator.ages()
    }

    fn value(&self, row: &Row, state: Option<&State>, at_ms: i64) -> bool {
        let none = Series::default();
        let series = series_of::<A>(state).unwrap_or(&none);
        let (first, end) = self.counting(row, &series.times, at_ms);
        self.accumulator.holds(series, first, end, at_ms)
    }

    fn next_timer(&self, row: &Row, state: &State, after_ms: i64) -> Option<i64> {
        let none = Series::default();
        let series = series_of::<A>(Some(state)).unwrap_or(&none);
        let (mut first, mut end) = self.counting(row, &series.times, after_ms);
        let now = self.accumulator.holds(series, first, end, after_ms);
        let mut at_ms = after_ms;
        loop {
            let joins_ms = series.times.get(end).map_or(FAR_MS, |each| each + 1);
            at_ms = joins_ms.min(self.accumulator.next_change(series, first, end, at_ms));
            if at_ms >= FAR_MS {
                return None;
            }
            (first, end) = self.counting(row, &series.times, at_ms);
            if self.accumulator.holds(series, first, end, at_ms) != now {
                return Some(at_ms);
            }
        }
    }

    fn update(&self, row: &mut Row, event: &Taken<'_, '_>, touched: &mut Vec<u32>) -> bool {
        if !self.common.admits(event) {
            return false;
        }
        // Outside, the next entry comes at this very instant or later.
        let low = self.entered_ms(row).unwrap_or(event.now_ms);
        if event.event_ms < low {
            return false;
        }
        let Some(sample) = self.accumulator.sample(event.event_ms, event.properties) else { return false };
        let key = self.common.key;
        let before = self.value(row, row.state(key), event.decided_ms);
        let bytes = state_bytes(row.state(key));
        let index = position_or(row, key, || State::Accumulated(Box::new(A::accumulated(Series::default()))));
        if let State::Accumulated(state) = &mut row.conditions[index].1
            && let Some(series) = A::series_mut(state)
        {
            self.take(series, event.event_ms, sample, low, event.now_ms);
        }
        if state_bytes(row.state(key)) == bytes {
            return false;
        }
        if self.has_timers() || self.value(row, row.state(key), event.now_ms) != before {
            touched.push(key);
        }
        true
    }

    fn read(&self, stored: Stored) -> Result<State, UnreadableState> {
        read_state::<A>(stored)
    }
}
