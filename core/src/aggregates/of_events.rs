//! Accumulators of events and their times: how many, of what, the first and the last
//! (`rules/aggregates/of_events.py`).

use super::accumulator::{Accumulated, Accumulator, Series};
use super::windows::{Window, before};
use crate::predicates::Check;
use crate::predicates::comparisons::{Compare, Comparison};
use crate::predicates::paths::Values;
use crate::row::Stored;
use crate::time::FAR_MS;
use crate::value::Map;
use crate::value::number::Number;

/// [number of events], no further than the comparisons can tell apart.
pub struct Count {
    compare: Compare,
    bound: i64,
}

impl Count {
    pub fn new(compare: Compare) -> Count {
        Count { bound: compare.count_bound(), compare }
    }

    /// The nearest index, from one on, up to which there are as many others as the comparisons can tell apart.
    fn reach(&self, counts: &[i64], at: usize, back: bool) -> Option<usize> {
        let (mut count, mut at) = (0, at);
        while count < self.bound {
            at = if back { at.checked_sub(1)? } else { at + 1 };
            count += counts.get(at)?;
        }
        Some(at)
    }
}

impl Accumulator for Count {
    type Part = i64;
    /// (first, end, number of events) of the stretch before.
    type Rolling = (usize, usize, i64);

    fn series(state: &Accumulated) -> Option<&Series<i64>> {
        if let Accumulated::Counts(series) = state { Some(series) } else { None }
    }

    fn series_mut(state: &mut Accumulated) -> Option<&mut Series<i64>> {
        if let Accumulated::Counts(series) = state { Some(series) } else { None }
    }

    fn accumulated(series: Series<i64>) -> Accumulated {
        Accumulated::Counts(series)
    }

    fn read(parts: Vec<Stored>) -> Option<i64> {
        match parts.as_slice() {
            [Stored::Int(count)] if 0 < *count && *count < 1 << 53 => Some(*count),
            _ => None,
        }
    }

    fn grows(&self) -> bool {
        true
    }

    fn sample(&self, _event_ms: i64, _properties: &Map<'_>) -> Option<i64> {
        Some(1)
    }

    fn merge(&self, series: &mut Series<i64>, at: usize, _event_ms: i64, sample: i64) {
        if let Some(count) = series.parts.get_mut(at) {
            *count = (*count + sample).min(self.bound);
        }
    }

    fn holds(&self, series: &Series<i64>, first: usize, end: usize, _at_ms: i64) -> bool {
        self.compare.holds_of_int(series.parts.get(first..end).unwrap_or_default().iter().sum())
    }

    fn rolls(
        &self,
        rolling: &mut (usize, usize, i64),
        series: &Series<i64>,
        first: usize,
        end: usize,
        _at_ms: i64,
    ) -> bool {
        let (first_before, end_before, count) = *rolling;
        let came: i64 = series.parts.get(end_before..end).unwrap_or_default().iter().sum();
        let left: i64 = series.parts.get(first_before..first).unwrap_or_default().iter().sum();
        *rolling = (first, end, count + came - left);
        self.compare.holds_of_int(rolling.2)
    }

    fn thin(&self, window: &Window, series: &mut Series<i64>, joined: usize) {
        let (mut count, mut at) = (0, joined);
        while at > 0 && count < self.bound {
            at -= 1;
            count += series.parts.get(at).copied().unwrap_or(0);
        }
        series.drop_first(at);
        let joined = joined - at;
        // Of those yet to join, one is as good as gone if enough others count whenever it does: those that
        // joined before it, until the ones after it have joined, too.
        for at in (joined..series.times.len().saturating_sub(1)).rev() {
            if let Some(earlier) = self.reach(&series.parts, at, true)
                && let Some(later) = self.reach(&series.parts, at, false)
                && window.joins(series.times[later]) <= window.leaves(series.times[earlier])
            {
                series.remove(at);
            }
        }
    }
}

/// [whether the property of the earliest event passes the test]; with `is_last`, of the latest event.
pub struct First {
    pub path: Values,
    /// Of the value by itself: its paths are empty.
    pub test: Check,
    pub is_last: bool,
}

impl Accumulator for First {
    type Part = bool;
    type Rolling = ();

    fn series(state: &Accumulated) -> Option<&Series<bool>> {
        if let Accumulated::Tests(series) = state { Some(series) } else { None }
    }

    fn series_mut(state: &mut Accumulated) -> Option<&mut Series<bool>> {
        if let Accumulated::Tests(series) = state { Some(series) } else { None }
    }

    fn accumulated(series: Series<bool>) -> Accumulated {
        Accumulated::Tests(series)
    }

    fn read(parts: Vec<Stored>) -> Option<bool> {
        if let [Stored::Bool(holds)] = parts.as_slice() { Some(*holds) } else { None }
    }

    fn sample(&self, event_ms: i64, properties: &Map<'_>) -> Option<bool> {
        Some(self.test.holds_of_value(self.path.first(properties), event_ms))
    }

    fn merge(&self, series: &mut Series<bool>, at: usize, event_ms: i64, sample: bool) {
        if let (Some(time), Some(part)) = (series.times.get_mut(at), series.parts.get_mut(at))
            && (if self.is_last { event_ms >= *time } else { event_ms < *time })
        {
            (*time, *part) = (event_ms, sample);
        }
    }

    fn holds(&self, series: &Series<bool>, first: usize, end: usize, _at_ms: i64) -> bool {
        let stretch = series.parts.get(first..end).unwrap_or_default();
        *(if self.is_last { stretch.last() } else { stretch.first() }).unwrap_or(&false)
    }

    fn thin(&self, _window: &Window, series: &mut Series<bool>, joined: usize) {
        if self.is_last {
            series.drop_first(joined.saturating_sub(1));
        }
    }
}

/// []: its time is all that `since_first` and `since_last` need.
pub struct Since {
    compare: Compare,
    is_last: bool,
    /// The ages in ms at which a comparison may turn.
    bounds: Vec<i64>,
}

impl Since {
    pub fn new(compare: Compare, is_last: bool) -> Since {
        let mut bounds = Vec::new();
        let mut add = |bound: Number| {
            let age_ms = match bound {
                Number::Int(whole) => whole,
                Number::Float(number) => number as i64,
            };
            bounds.extend([age_ms, age_ms.saturating_add(1)]);
        };
        for comparison in &compare.0 {
            match *comparison {
                Comparison::Between(low, high) => {
                    add(low);
                    add(high);
                }
                Comparison::Gt(bound)
                | Comparison::Gte(bound)
                | Comparison::Lt(bound)
                | Comparison::Lte(bound)
                | Comparison::Eq(bound)
                | Comparison::Ne(bound) => add(bound),
            }
        }
        bounds.sort_unstable();
        bounds.dedup();
        Since { compare, is_last, bounds }
    }

    /// The time of the event that a stretch is as old as.
    fn event_ms(&self, series: &Series<()>, first: usize, end: usize) -> Option<i64> {
        let stretch = series.times.get(first..end)?;
        (if self.is_last { stretch.last() } else { stretch.first() }).copied()
    }
}

impl Accumulator for Since {
    type Part = ();
    type Rolling = ();

    fn series(state: &Accumulated) -> Option<&Series<()>> {
        if let Accumulated::Times(series) = state { Some(series) } else { None }
    }

    fn series_mut(state: &mut Accumulated) -> Option<&mut Series<()>> {
        if let Accumulated::Times(series) = state { Some(series) } else { None }
    }

    fn accumulated(series: Series<()>) -> Accumulated {
        Accumulated::Times(series)
    }

    fn read(parts: Vec<Stored>) -> Option<()> {
        parts.is_empty().then_some(())
    }

    fn ages(&self) -> bool {
        true
    }

    fn sample(&self, _event_ms: i64, _properties: &Map<'_>) -> Option<()> {
        Some(())
    }

    fn merge(&self, series: &mut Series<()>, at: usize, event_ms: i64, _sample: ()) {
        if let Some(time) = series.times.get_mut(at) {
            *time = if self.is_last { event_ms.max(*time) } else { event_ms.min(*time) };
        }
    }

    fn holds(&self, series: &Series<()>, first: usize, end: usize, at_ms: i64) -> bool {
        self.event_ms(series, first, end).is_some_and(|event_ms| self.compare.holds_of_int(at_ms - event_ms))
    }

    fn next_change(&self, series: &Series<()>, first: usize, end: usize, after_ms: i64) -> i64 {
        let Some(event_ms) = self.event_ms(series, first, end) else { return FAR_MS };
        let at = before(&self.bounds, after_ms - event_ms + 1);
        self.bounds.get(at).map_or(FAR_MS, |age_ms| event_ms + age_ms)
    }

    fn thin(&self, _window: &Window, series: &mut Series<()>, joined: usize) {
        if self.is_last {
            series.drop_first(joined.saturating_sub(1));
        }
    }
}
