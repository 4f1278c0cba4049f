//! What a condition keeps of events that count at the same instants, and the aggregate of several of these
//! (`rules/aggregates/accumulator.py`).

use super::distincts::Different;
use super::of_numbers::Mean;
use super::windows::Window;
use crate::row::Stored;
use crate::time::FAR_MS;
use crate::value::Map;
use crate::value::exact::Exact;
use crate::value::number::Number;

/// Event times ascending, and for each an accumulator: it stands for every event whose time is alike
/// (`Window::alike`), and the time is that of one of them: of the earliest for `first`, of the latest for `last`.
#[derive(Clone, Debug)]
pub struct Series<P> {
    pub times: Vec<i64>,
    pub parts: Vec<P>,
}

impl<P> Default for Series<P> {
    fn default() -> Self {
        Series { times: Vec::new(), parts: Vec::new() }
    }
}

impl<P> Series<P> {
    pub fn insert(&mut self, at: usize, event_ms: i64, part: P) {
        self.times.insert(at, event_ms);
        self.parts.insert(at, part);
    }

    pub fn remove(&mut self, at: usize) -> (i64, P) {
        (self.times.remove(at), self.parts.remove(at))
    }

    /// Let go of the first so many.
    pub fn drop_first(&mut self, number: usize) {
        if number > 0 {
            self.times.drain(..number);
            self.parts.drain(..number);
        }
    }
}

/// The state of `general` and `nested`, whatever the aggregate.
#[derive(Clone, Debug)]
pub enum Accumulated {
    Counts(Series<i64>),
    Sums(Series<Exact>),
    Means(Series<Mean>),
    Extremes(Series<Number>),
    Different(Series<Vec<Different<'static>>>),
    Tests(Series<bool>),
    Times(Series<()>),
}

impl Accumulated {
    pub fn is_empty(&self) -> bool {
        match self {
            Accumulated::Counts(series) => series.times.is_empty(),
            Accumulated::Sums(series) => series.times.is_empty(),
            Accumulated::Means(series) => series.times.is_empty(),
            Accumulated::Extremes(series) => series.times.is_empty(),
            Accumulated::Different(series) => series.times.is_empty(),
            Accumulated::Tests(series) => series.times.is_empty(),
            Accumulated::Times(series) => series.times.is_empty(),
        }
    }

    /// [event times ascending, their accumulators]
    pub fn stored(&self) -> Stored {
        fn floats(exact: &[f64]) -> impl Iterator<Item = Stored> + '_ {
            exact.iter().map(|each| Stored::Float(*each))
        }
        match self {
            Accumulated::Counts(series) => stored(series, |count| vec![Stored::Int(*count)]),
            Accumulated::Sums(series) => stored(series, |exact| floats(exact).collect()),
            Accumulated::Means(series) => stored(series, |mean| {
                [Stored::Int(mean.count)].into_iter().chain(floats(&mean.exact)).collect()
            }),
            Accumulated::Extremes(series) => stored(series, |number| {
                vec![match number {
                    Number::Int(whole) => Stored::Int(*whole),
                    Number::Float(number) => Stored::Float(*number),
                }]
            }),
            Accumulated::Different(series) => {
                stored(series, |values| values.iter().map(Different::stored).collect())
            }
            Accumulated::Tests(series) => stored(series, |holds| vec![Stored::Bool(*holds)]),
            Accumulated::Times(series) => stored(series, |()| Vec::new()),
        }
    }
}

fn stored<P>(series: &Series<P>, part: impl Fn(&P) -> Vec<Stored>) -> Stored {
    let times = series.times.iter().map(|each| Stored::Int(*each)).collect();
    let parts = series.parts.iter().map(|each| Stored::List(part(each))).collect();
    Stored::List(vec![Stored::List(times), Stored::List(parts)])
}

/// One aggregate with its comparisons. Kinds say what an event adds and whether a stretch, from the first index
/// to the end, compares.
pub trait Accumulator: Send + Sync {
    /// What is kept of events whose times are alike.
    type Part: Clone + Send + Sync;
    /// What `rolls` keeps from one stretch to the next.
    type Rolling: Default;

    fn series(state: &Accumulated) -> Option<&Series<Self::Part>>;
    fn series_mut(state: &mut Accumulated) -> Option<&mut Series<Self::Part>>;
    fn accumulated(series: Series<Self::Part>) -> Accumulated;

    /// From what the row's bytes have of one accumulator; `None`: it was never written.
    fn read(parts: Vec<Stored>) -> Option<Self::Part>;

    /// One more event can never make the aggregate less.
    fn grows(&self) -> bool {
        false
    }

    /// Whether time alone changes the value of a stretch.
    fn ages(&self) -> bool {
        false
    }

    /// The accumulator of one event; `None`: it doesn't take part.
    fn sample(&self, event_ms: i64, properties: &Map<'_>) -> Option<Self::Part>;

    /// Take the accumulator of events that arrived later into that at an index.
    fn merge(&self, series: &mut Series<Self::Part>, at: usize, event_ms: i64, sample: Self::Part);

    /// Whether the aggregate of a stretch compares.
    fn holds(&self, series: &Series<Self::Part>, first: usize, end: usize, at_ms: i64) -> bool;

    /// `holds` asked again and again of one state, no index ever going back.
    fn rolls(
        &self,
        _rolling: &mut Self::Rolling,
        series: &Series<Self::Part>,
        first: usize,
        end: usize,
        at_ms: i64,
    ) -> bool {
        self.holds(series, first, end, at_ms)
    }

    /// When a stretch may next compare otherwise, though it stays the same; `FAR_MS`: never.
    fn next_change(&self, _series: &Series<Self::Part>, _first: usize, _end: usize, _after_ms: i64) -> i64 {
        FAR_MS
    }

    /// Let go of what can't matter any more. The first `joined` have all joined the window, so what of them
    /// comes later stays longer.
    fn thin(&self, _window: &Window, _series: &mut Series<Self::Part>, _joined: usize) {}
}

/// A state of an accumulator's from the row's bytes; `None`: no state is so.
pub fn read<A: Accumulator>(stored: Stored) -> Option<Accumulated> {
    let Stored::List(halves) = stored else { return None };
    let [Stored::List(times), Stored::List(parts)] = <[Stored; 2]>::try_from(halves).ok()? else {
        return None;
    };
    if times.len() != parts.len() {
        return None;
    }
    let time = |each| match each {
        Stored::Int(at_ms) if -FAR_MS < at_ms && at_ms < FAR_MS => Some(at_ms),
        _ => None,
    };
    let part = |each| match each {
        Stored::List(parts) => A::read(parts),
        _ => None,
    };
    let times = times.into_iter().map(time).collect::<Option<Vec<_>>>()?;
    if !times.is_sorted() {
        return None;
    }
    let parts = parts.into_iter().map(part).collect::<Option<_>>()?;
    Some(A::accumulated(Series { times, parts }))
}
