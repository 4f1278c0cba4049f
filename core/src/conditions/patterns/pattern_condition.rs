//! What the conditions have in common whose events may fit several patterns
//! (`rules/conditions/pattern_condition.py`).

use std::sync::atomic::{AtomicU64, Ordering};

use super::fits::{Fits, NO_FITS, only};
use super::layout::Pattern;
use super::slots::Layout;
use crate::aggregates::windows::Window;
use crate::conditions::{Condition, Taken};
use crate::predicates::paths::Subject;
use crate::row::codec::state_bytes;
use crate::row::{Row, State};

/// The patterns of a condition, and what is kept of their events.
pub struct Patterns {
    pub key: u32,
    pub max_samples: usize,
    pub layout: Layout,
    pub patterns: Vec<Pattern>,
    pub window: Window,
    pub has_timers: bool,
    pub dropped: AtomicU64,
}

impl Patterns {
    /// Which patterns an event fits, less what they refer to other events for.
    pub fn fits(&self, event: &Taken<'_, '_>) -> Fits {
        let mut fits = NO_FITS;
        for (number, each) in self.patterns.iter().enumerate() {
            if each.takes(event.name)
                && each
                    .fixed
                    .as_ref()
                    .is_none_or(|check| check.holds_of(Subject::Object(event.properties), event.event_ms))
            {
                fits |= only(number);
            }
        }
        fits
    }

    /// Whether one of these times counts in the window.
    pub fn value(&self, times: &[i64], at_ms: i64) -> bool {
        let (first, end) = self.window.counting(times, at_ms);
        first < end
    }

    pub fn next_timer(&self, times: &[i64], after_ms: i64) -> Option<i64> {
        if self.has_timers { self.window.next_presence_timer(times, after_ms) } else { None }
    }

    /// Samples are let go of because there are more than `max_samples`.
    pub fn drop_samples(&self, number: usize) {
        self.dropped.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// A kind that is true while one of the times in its state's first list counts in its window.
pub trait PatternKind: Condition {
    type State;

    fn patterns(&self) -> &Patterns;

    /// The kind's own state, taken out of the row's. A list without items is none.
    fn state_of(state: State) -> Option<Box<Self::State>>;

    fn row_state(state: Box<Self::State>) -> State;

    /// Take an event with the patterns that it fits. Whether the value may now change sooner. None: nothing is
    /// kept.
    fn take(&self, state: &mut Option<Box<Self::State>>, fits: Fits, event: &Taken<'_, '_>) -> bool;
}

/// `PatternCondition.take`.
pub fn update<K: PatternKind>(
    kind: &K,
    row: &mut Row,
    event: &Taken<'_, '_>,
    touched: &mut Vec<u32>,
) -> bool {
    let fits = kind.patterns().fits(event);
    if fits == NO_FITS {
        return false;
    }
    let key = kind.key();
    let before = kind.value(row, row.state(key), event.decided_ms);
    let bytes = state_bytes(row.state(key));
    // It comes back to its place, or is taken away.
    let taken = row.state_mut(key).map(|state| std::mem::replace(state, State::Count(0)));
    let mut state = taken.and_then(K::state_of);
    let sooner = kind.take(&mut state, fits, event);
    match state {
        Some(state) => row.put_state(key, K::row_state(state)),
        None => drop(row.pop_state(key)),
    }
    if state_bytes(row.state(key)) == bytes {
        return false;
    }
    if sooner || kind.value(row, row.state(key), event.now_ms) != before {
        touched.push(key);
    }
    true
}
