//! What the conditions have in common that aggregate events: comparisons, a filter, one way to take events
//! (`rules/aggregates/aggregate_condition.py`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::conditions::Taken;
use crate::predicates::Check;
use crate::predicates::comparisons::Compare;
use crate::row::{Row, State};

/// One aggregate of events and its comparisons.
pub struct Aggregated {
    pub key: u32,
    pub compare: Compare,
    pub max_samples: usize,
    check: Option<Check>,
    dropped: AtomicU64,
}

impl Aggregated {
    pub fn new(key: u32, check: Option<Check>, compare: Compare, max_samples: usize) -> Aggregated {
        Aggregated { key, compare, max_samples, check, dropped: AtomicU64::new(0) }
    }

    /// Whether the event passes `where`, which may look at its time (`rules/conditions/dated_where.py`).
    #[inline]
    pub fn admits(&self, event: &Taken<'_, '_>) -> bool {
        self.check.as_ref().is_none_or(|check| check.holds_at(event.properties, event.event_ms))
    }

    /// Whether a number of events compares.
    #[inline]
    pub fn holds(&self, number: usize) -> bool {
        self.compare.holds_of_int(number as i64)
    }

    /// The number from which on all numbers of events compare alike.
    pub fn count_bound(&self) -> usize {
        usize::try_from(self.compare.count_bound()).unwrap_or(usize::MAX)
    }

    /// `number` of samples of a user had to go because there were more than `max_samples`.
    pub fn drop_samples(&self, number: usize) {
        self.dropped.fetch_add(number as u64, Relaxed);
    }

    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Relaxed)
    }
}

/// Where `Row::conditions` has a condition's state, if it has one.
#[inline]
pub fn position(row: &Row, key: u32) -> Option<usize> {
    row.conditions.iter().position(|each| each.0 == key)
}

/// Where `Row::conditions` has a condition's state; that of `new` if it had none.
pub fn position_or(row: &mut Row, key: u32, new: impl FnOnce() -> State) -> usize {
    position(row, key).unwrap_or_else(|| {
        row.conditions.push((key, new()));
        row.conditions.len() - 1
    })
}

/// For a value that is the number of `times` in the window: when it next compares otherwise.
pub fn next_expiry_timer(
    times: &[i64],
    length_ms: i64,
    after_ms: i64,
    compare: impl Fn(usize) -> bool,
) -> Option<i64> {
    let mut gone = times.partition_point(|each| *each <= after_ms.saturating_sub(length_ms));
    let now = compare(times.len() - gone);
    while let Some(expiring) = times.get(gone) {
        gone += times[gone..].iter().take_while(|each| *each <= expiring).count();
        if compare(times.len() - gone) != now {
            return Some(expiring.saturating_add(length_ms));
        }
    }
    None
}
