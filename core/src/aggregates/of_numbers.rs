//! Accumulators of numbers: sum, mean, least and greatest (`rules/aggregates/of_numbers.py`).

use smallvec::SmallVec;

use super::accumulator::{Accumulated, Accumulator, Series};
use super::windows::Window;
use crate::predicates::comparisons::Compare;
use crate::predicates::paths::Values;
use crate::row::Stored;
use crate::value::exact::{Exact, add_exactly, exact_parts, fsum, number_of, round_9};
use crate::value::number::Number;
use crate::value::{Map, Value};

type Numbers = SmallVec<[f64; 4]>;

/// The numbers of an event that take part.
fn numbers(path: &Values, properties: &Map<'_>) -> Numbers {
    let mut found = Numbers::new();
    path.each(properties, &mut |value| found.extend(number_of(value)));
    found
}

/// Exact sums as the floats that they are stored as, at the end of an accumulator.
fn read_exact(parts: impl IntoIterator<Item = Stored>) -> Option<Exact> {
    let one = |part| match part {
        Stored::Float(number) if f64::is_finite(number) => Some(number),
        _ => None,
    };
    parts.into_iter().map(one).collect()
}

/// [floats that don't overlap, whose sum is exact] (`value::exact`).
pub struct Sum {
    pub path: Values,
    pub compare: Compare,
}

impl Accumulator for Sum {
    type Part = Exact;
    type Rolling = RollingSum;

    fn series(state: &Accumulated) -> Option<&Series<Exact>> {
        if let Accumulated::Sums(series) = state { Some(series) } else { None }
    }

    fn series_mut(state: &mut Accumulated) -> Option<&mut Series<Exact>> {
        if let Accumulated::Sums(series) = state { Some(series) } else { None }
    }

    fn accumulated(series: Series<Exact>) -> Accumulated {
        Accumulated::Sums(series)
    }

    fn read(parts: Vec<Stored>) -> Option<Exact> {
        read_exact(parts)
    }

    fn sample(&self, _event_ms: i64, properties: &Map<'_>) -> Option<Exact> {
        let numbers = numbers(&self.path, properties);
        (!numbers.is_empty()).then(|| exact_parts(&numbers))
    }

    fn merge(&self, series: &mut Series<Exact>, at: usize, _event_ms: i64, sample: Exact) {
        if let Some(exact) = series.parts.get_mut(at) {
            sample.iter().for_each(|number| add_exactly(exact, *number));
        }
    }

    fn holds(&self, series: &Series<Exact>, first: usize, end: usize, _at_ms: i64) -> bool {
        let stretch = series.parts.get(first..end).unwrap_or_default();
        self.compare.holds_of_float(round_9(fsum(stretch.iter().flatten().copied())))
    }

    fn rolls(
        &self,
        rolling: &mut RollingSum,
        series: &Series<Exact>,
        first: usize,
        end: usize,
        _at_ms: i64,
    ) -> bool {
        rolling.roll(first, end, |at, exact, sign| {
            series.parts.get(at).into_iter().flatten().for_each(|number| add_exactly(exact, sign * number));
        });
        self.compare.holds_of_float(round_9(fsum(rolling.exact.iter().copied())))
    }
}

/// The exact sum of a stretch whose ends go on.
#[derive(Default)]
pub struct RollingSum {
    exact: Exact,
    count: i64,
    first: usize,
    end: usize,
}

impl RollingSum {
    /// `add(index, exact, sign)` for each that came into the stretch, with 1.0, then with -1.0 for each that left.
    fn roll(&mut self, first: usize, end: usize, mut add: impl FnMut(usize, &mut Exact, f64)) {
        (self.end..end).for_each(|at| add(at, &mut self.exact, 1.0));
        (self.first..first).for_each(|at| add(at, &mut self.exact, -1.0));
        (self.first, self.end) = (first, end);
    }
}

/// [number of values, floats that don't overlap and whose sum is exact].
pub struct Average {
    pub path: Values,
    pub compare: Compare,
}

#[derive(Clone, Debug)]
pub struct Mean {
    pub count: i64,
    pub exact: Exact,
}

impl Average {
    fn compares(&self, count: i64, sum: impl FnOnce() -> f64) -> bool {
        count > 0 && self.compare.holds_of_float(round_9(sum() / count as f64))
    }
}

impl Accumulator for Average {
    type Part = Mean;
    type Rolling = RollingSum;

    fn series(state: &Accumulated) -> Option<&Series<Mean>> {
        if let Accumulated::Means(series) = state { Some(series) } else { None }
    }

    fn series_mut(state: &mut Accumulated) -> Option<&mut Series<Mean>> {
        if let Accumulated::Means(series) = state { Some(series) } else { None }
    }

    fn accumulated(series: Series<Mean>) -> Accumulated {
        Accumulated::Means(series)
    }

    fn read(parts: Vec<Stored>) -> Option<Mean> {
        let mut parts = parts.into_iter();
        match parts.next() {
            Some(Stored::Int(count)) if 0 < count && count < 1 << 53 => {
                Some(Mean { count, exact: read_exact(parts)? })
            }
            _ => None,
        }
    }

    fn sample(&self, _event_ms: i64, properties: &Map<'_>) -> Option<Mean> {
        let numbers = numbers(&self.path, properties);
        (!numbers.is_empty()).then(|| Mean { count: numbers.len() as i64, exact: exact_parts(&numbers) })
    }

    fn merge(&self, series: &mut Series<Mean>, at: usize, _event_ms: i64, sample: Mean) {
        if let Some(mean) = series.parts.get_mut(at) {
            sample.exact.iter().for_each(|number| add_exactly(&mut mean.exact, *number));
            mean.count += sample.count;
        }
    }

    fn holds(&self, series: &Series<Mean>, first: usize, end: usize, _at_ms: i64) -> bool {
        let stretch = series.parts.get(first..end).unwrap_or_default();
        let count = stretch.iter().map(|each| each.count).sum();
        self.compares(count, || fsum(stretch.iter().flat_map(|each| each.exact.iter().copied())))
    }

    fn rolls(
        &self,
        rolling: &mut RollingSum,
        series: &Series<Mean>,
        first: usize,
        end: usize,
        _at_ms: i64,
    ) -> bool {
        let mut count = rolling.count;
        rolling.roll(first, end, |at, exact, sign| {
            if let Some(mean) = series.parts.get(at) {
                count += if sign > 0.0 { mean.count } else { -mean.count };
                mean.exact.iter().for_each(|number| add_exactly(exact, sign * number));
            }
        });
        rolling.count = count;
        self.compares(count, || fsum(rolling.exact.iter().copied()))
    }
}

/// [the least value], or the greatest.
pub struct Extreme {
    pub path: Values,
    pub compare: Compare,
    pub is_greatest: bool,
}

/// A number as it can be stored; `None` for all else.
fn storable(value: Option<&Value<'_>>) -> Option<Number> {
    Number::of(value?).filter(|number| number.float().is_finite())
}

impl Extreme {
    /// Whether one is more extreme than another that came first; equal ones are not.
    fn beats(&self, one: Number, other: Number) -> bool {
        if self.is_greatest { one > other } else { one < other }
    }

    fn pick(&self, numbers: impl IntoIterator<Item = Number>) -> Option<Number> {
        numbers.into_iter().reduce(|best, each| if self.beats(each, best) { each } else { best })
    }
}

impl Accumulator for Extreme {
    type Part = Number;
    type Rolling = ();

    fn series(state: &Accumulated) -> Option<&Series<Number>> {
        if let Accumulated::Extremes(series) = state { Some(series) } else { None }
    }

    fn series_mut(state: &mut Accumulated) -> Option<&mut Series<Number>> {
        if let Accumulated::Extremes(series) = state { Some(series) } else { None }
    }

    fn accumulated(series: Series<Number>) -> Accumulated {
        Accumulated::Extremes(series)
    }

    fn read(parts: Vec<Stored>) -> Option<Number> {
        match parts.as_slice() {
            [Stored::Int(whole)] => Some(Number::Int(*whole)),
            [Stored::Float(number)] if number.is_finite() => Some(Number::Float(*number)),
            _ => None,
        }
    }

    fn sample(&self, _event_ms: i64, properties: &Map<'_>) -> Option<Number> {
        let mut found = SmallVec::<[Number; 4]>::new();
        self.path.each(properties, &mut |value| found.extend(storable(value)));
        self.pick(found)
    }

    fn merge(&self, series: &mut Series<Number>, at: usize, _event_ms: i64, sample: Number) {
        if let Some(kept) = series.parts.get_mut(at)
            && self.beats(sample, *kept)
        {
            *kept = sample;
        }
    }

    fn holds(&self, series: &Series<Number>, first: usize, end: usize, _at_ms: i64) -> bool {
        let stretch = series.parts.get(first..end).unwrap_or_default();
        self.pick(stretch.iter().copied()).is_some_and(|number| self.compare.holds(number))
    }

    /// Of those that joined, one with a later one at least as extreme can go.
    fn thin(&self, _window: &Window, series: &mut Series<Number>, joined: usize) {
        for at in (0..joined.saturating_sub(1)).rev() {
            let (Some(one), Some(later)) = (series.parts.get(at), series.parts.get(at + 1)) else { return };
            if !self.beats(*one, *later) {
                series.remove(at);
            }
        }
    }
}
