//! The accumulator of different values and days (`rules/aggregates/of_events.py`, Distinct).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::accumulator::{Accumulated, Accumulator, Series};
use super::distincts::{Different, read_different};
use super::windows::Window;
use crate::predicates::comparisons::Compare;
use crate::predicates::paths::Values;
use crate::row::Stored;
use crate::time::calendar::{Calendar, Unit};
use crate::value::Map;

/// [different values], no more than the comparisons can tell apart: of a property, or calendar days.
pub struct Distinct {
    compare: Compare,
    bound: usize,
    of: DistinctOf,
}

pub enum DistinctOf {
    Property(Values),
    Days(Arc<Calendar>),
}

impl Distinct {
    pub fn new(compare: Compare, of: DistinctOf) -> Distinct {
        Distinct { bound: usize::try_from(compare.count_bound()).unwrap_or(usize::MAX), compare, of }
    }
}

type Set<'v> = HashSet<&'v Different<'static>, foldhash::fast::RandomState>;
type Numbers = HashMap<Different<'static>, usize, foldhash::fast::RandomState>;

impl Accumulator for Distinct {
    type Part = Vec<Different<'static>>;
    type Rolling = RollingValues;

    fn series(state: &Accumulated) -> Option<&Series<Self::Part>> {
        if let Accumulated::Different(series) = state { Some(series) } else { None }
    }

    fn series_mut(state: &mut Accumulated) -> Option<&mut Series<Self::Part>> {
        if let Accumulated::Different(series) = state { Some(series) } else { None }
    }

    fn accumulated(series: Series<Self::Part>) -> Accumulated {
        Accumulated::Different(series)
    }

    fn read(parts: Vec<Stored>) -> Option<Self::Part> {
        read_different(Stored::List(parts)).ok()
    }

    fn grows(&self) -> bool {
        true
    }

    fn sample(&self, event_ms: i64, properties: &Map<'_>) -> Option<Self::Part> {
        let mut found = Vec::new();
        match &self.of {
            DistinctOf::Days(calendar) => found.push(Different::Int(calendar.period(Unit::Day, event_ms))),
            DistinctOf::Property(path) => path.each(properties, &mut |value| {
                if let Some(value) = Different::of(value)
                    && found.len() < self.bound
                    && !found.contains(&value)
                {
                    found.push(value.into_owned());
                }
            }),
        }
        (!found.is_empty()).then_some(found)
    }

    fn merge(&self, series: &mut Series<Self::Part>, at: usize, _event_ms: i64, sample: Self::Part) {
        let Some(values) = series.parts.get_mut(at) else { return };
        for value in sample {
            if values.len() < self.bound && !values.contains(&value) {
                values.push(value);
            }
        }
    }

    fn holds(&self, series: &Series<Self::Part>, first: usize, end: usize, _at_ms: i64) -> bool {
        let number = match series.parts.get(first..end).unwrap_or_default() {
            [] => 0,
            [one] => one.len(),
            stretch => stretch.iter().flatten().collect::<Set<'_>>().len(),
        };
        self.compare.holds_of_int(number as i64)
    }

    fn rolls(
        &self,
        rolling: &mut RollingValues,
        series: &Series<Self::Part>,
        first: usize,
        end: usize,
        _at_ms: i64,
    ) -> bool {
        for value in series.parts.get(rolling.end..end).unwrap_or_default().iter().flatten() {
            *rolling.numbers.entry(value.clone()).or_insert(0) += 1;
        }
        for value in series.parts.get(rolling.first..first).unwrap_or_default().iter().flatten() {
            match rolling.numbers.get_mut(value) {
                Some(number) if *number > 1 => *number -= 1,
                _ => {
                    rolling.numbers.remove(value);
                }
            }
        }
        (rolling.first, rolling.end) = (first, end);
        self.compare.holds_of_int(rolling.numbers.len() as i64)
    }

    /// Of those that joined, a value stands where it was last, and the latest values are enough.
    fn thin(&self, _window: &Window, series: &mut Series<Self::Part>, joined: usize) {
        if joined < 2 {
            return;
        }
        let mut seen = Set::default();
        let mut repeated = Vec::new();
        let mut gone = 0;
        for (at, values) in series.parts.iter().enumerate().take(joined).rev() {
            if seen.len() >= self.bound {
                gone = at + 1;
                break;
            }
            let again = values.iter().enumerate().rev().filter(|(_, value)| !seen.insert(*value));
            repeated.extend(again.map(|(index, _)| (at, index)));
        }
        for (at, index) in repeated {
            if let Some(values) = series.parts.get_mut(at) {
                values.remove(index);
                if values.is_empty() {
                    series.remove(at);
                }
            }
        }
        series.drop_first(gone);
    }
}

/// How often each value is in a stretch whose ends go on.
#[derive(Default)]
pub struct RollingValues {
    numbers: Numbers,
    first: usize,
    end: usize,
}
