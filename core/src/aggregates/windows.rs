//! Windows (docs/semantics.md, section 5): which event times count at an instant, and when that changes
//! (`rules/aggregates/windows.py`).
//!
//! Every window lets an event count from one instant (`joins`) to another (`leaves`), and later events never
//! join or leave before earlier ones. So of ascending event times those that count are always one stretch.

use std::sync::{Arc, Mutex};

use crate::spec::WindowSpec;
use crate::time::FAR_MS;
use crate::time::calendar::{Bounds, Calendar, Unit};

/// A window at run time. Event times are no later than the clock at which they are asked about.
pub enum Window {
    /// Between two fixed instants, or for ever: time takes nothing in or out.
    Always {
        first_ms: i64,
        last_ms: i64,
    },
    /// `near_ms` to `far_ms` ago: `t - far < e <= t - near`; `within` has 0 for near.
    Sliding {
        far_ms: i64,
        near_ms: i64,
    },
    Periods(Periods),
    /// A window whose events count no earlier than `delay_ms` after their time.
    Delayed {
        window: Box<Window>,
        delay_ms: i64,
    },
}

/// `length` calendar periods that end with the one `ago` before that of the instant.
pub struct Periods {
    calendar: Arc<Calendar>,
    unit: Unit,
    length: i64,
    ago: i64,
    /// The period that was asked about last, and mostly is next.
    current: Mutex<Current>,
}

#[derive(Clone, Copy, Default)]
struct Current {
    start: i64,
    end: i64,
    low: i64,
    high: i64,
}

impl Periods {
    fn at(&self, at_ms: i64) -> Current {
        if let Ok(current) = self.current.try_lock()
            && current.start <= at_ms
            && at_ms < current.end
        {
            return *current;
        }
        let Bounds { start_ms: start, end_ms: end, number } = self.calendar.bounds(self.unit, at_ms);
        let last = number - self.ago + 1;
        let low = self.calendar.start(self.unit, last - self.length);
        let found = Current { start, end, low, high: self.calendar.start(self.unit, last) - 1 };
        if let Ok(mut current) = self.current.try_lock() {
            *current = found;
        }
        found
    }

    fn start_after(&self, event_ms: i64, periods: i64) -> i64 {
        self.calendar.start(self.unit, self.calendar.period(self.unit, event_ms) + periods)
    }
}

impl Window {
    /// The window of a condition; `SinceEntry` is `conditions::nested`'s: it depends on the user.
    pub fn build(source: Option<&WindowSpec>, calendar: &Arc<Calendar>) -> Option<Window> {
        Some(match source {
            None => Window::Always { first_ms: -FAR_MS, last_ms: FAR_MS },
            Some(WindowSpec::FromTo { from_ms, to_ms }) => Window::Always {
                first_ms: from_ms.unwrap_or(-FAR_MS),
                last_ms: to_ms.map_or(FAR_MS, |end_ms| end_ms - 1),
            },
            Some(WindowSpec::Within { length_ms }) => Window::Sliding { far_ms: *length_ms, near_ms: 0 },
            Some(WindowSpec::BetweenAgo { far_ms, near_ms }) => {
                Window::Sliding { far_ms: *far_ms, near_ms: *near_ms }
            }
            Some(WindowSpec::Period { unit, length, ago }) => Window::Periods(Periods {
                calendar: calendar.clone(),
                unit: Unit::of(unit)?,
                length: *length,
                ago: *ago,
                current: Mutex::default(),
            }),
            Some(WindowSpec::SinceEntry { .. }) => return None,
        })
    }

    /// Whether an event counts from its own time on.
    pub fn joins_at_once(&self) -> bool {
        match self {
            Window::Always { .. } => true,
            Window::Sliding { near_ms, .. } => *near_ms == 0,
            Window::Periods(periods) => periods.ago == 0,
            Window::Delayed { .. } => false,
        }
    }

    /// Whether an event of this time ever counts.
    pub fn admits(&self, event_ms: i64) -> bool {
        match self {
            Window::Always { first_ms, last_ms } => *first_ms <= event_ms && event_ms <= *last_ms,
            Window::Sliding { .. } | Window::Periods(_) => true,
            Window::Delayed { window, .. } => window.admits(event_ms),
        }
    }

    /// The earliest event time that counts at `at_ms`.
    pub fn low(&self, at_ms: i64) -> i64 {
        match self {
            Window::Always { first_ms, .. } => *first_ms,
            Window::Sliding { far_ms, .. } => at_ms - far_ms + 1,
            Window::Periods(periods) => periods.at(at_ms).low,
            Window::Delayed { window, .. } => window.low(at_ms),
        }
    }

    /// The latest event time that counts at `at_ms`.
    pub fn high(&self, at_ms: i64) -> i64 {
        match self {
            Window::Always { last_ms, .. } => *last_ms,
            Window::Sliding { near_ms, .. } => at_ms - near_ms,
            Window::Periods(periods) => periods.at(at_ms).high,
            Window::Delayed { window, delay_ms } => window.high(at_ms).min(at_ms - delay_ms),
        }
    }

    /// The first instant at which the event counts.
    pub fn joins(&self, event_ms: i64) -> i64 {
        match self {
            Window::Always { .. } => event_ms,
            Window::Sliding { near_ms, .. } => event_ms + near_ms,
            Window::Periods(periods) if periods.ago == 0 => event_ms,
            Window::Periods(periods) => periods.start_after(event_ms, periods.ago),
            Window::Delayed { window, delay_ms } => window.joins(event_ms).max(event_ms + delay_ms),
        }
    }

    /// The first instant at which it no longer counts; `FAR_MS`: never.
    pub fn leaves(&self, event_ms: i64) -> i64 {
        match self {
            Window::Always { .. } => FAR_MS,
            Window::Sliding { far_ms, .. } => event_ms + far_ms,
            Window::Periods(periods) => periods.start_after(event_ms, periods.ago + periods.length),
            Window::Delayed { window, .. } => window.leaves(event_ms),
        }
    }

    /// (first, last) of the event times that join and leave together with this one.
    pub fn alike(&self, event_ms: i64) -> (i64, i64) {
        match self {
            Window::Always { first_ms, last_ms } => (*first_ms, *last_ms),
            Window::Sliding { .. } | Window::Delayed { .. } => (event_ms, event_ms),
            Window::Periods(periods) => {
                let bounds = periods.calendar.bounds(periods.unit, event_ms);
                (bounds.start_ms, bounds.end_ms - 1)
            }
        }
    }

    /// (first, end) of the stretch of ascending `times` that counts at `at_ms`.
    pub fn counting(&self, times: &[i64], at_ms: i64) -> (usize, usize) {
        let first = before(times, self.low(at_ms));
        (first, first.max(up_to(times, self.high(at_ms))))
    }

    /// The first instant after `after_ms` at which another stretch of `times` counts, or `FAR_MS`.
    pub fn next_change(&self, times: &[i64], after_ms: i64) -> i64 {
        let leaves = times.get(before(times, self.low(after_ms))).map_or(FAR_MS, |each| self.leaves(*each));
        let joins = times.get(up_to(times, self.high(after_ms))).map_or(FAR_MS, |each| self.joins(*each));
        let change = leaves.min(joins);
        if change > after_ms { change } else { FAR_MS } // calendars end with the years that can be written
    }

    /// When "any of `times` counts" next changes.
    pub fn next_presence_timer(&self, times: &[i64], after_ms: i64) -> Option<i64> {
        let (first, end) = self.counting(times, after_ms);
        let following = &times[end..];
        let timer_ms = if first == end {
            let ever = following.iter().find(|each| self.joins(**each) < self.leaves(**each));
            ever.map_or(FAR_MS, |each| self.joins(*each))
        } else {
            let mut gone_ms = self.leaves(times[end - 1]);
            for each in following {
                if self.joins(*each) > gone_ms {
                    break;
                }
                gone_ms = gone_ms.max(self.leaves(*each));
            }
            gone_ms
        };
        (after_ms < timer_ms && timer_ms < FAR_MS).then_some(timer_ms)
    }
}

/// How many of ascending times are before an instant: `bisect_left`.
#[inline]
pub fn before(times: &[i64], at_ms: i64) -> usize {
    times.partition_point(|each| *each < at_ms)
}

/// How many of ascending times are no later than an instant: `bisect_right`.
#[inline]
pub fn up_to(times: &[i64], at_ms: i64) -> usize {
    times.partition_point(|each| *each <= at_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_times_counts_and_changes_when_one_joins_or_leaves() {
        let window = Window::Sliding { far_ms: 100, near_ms: 10 };
        let times = [5, 20, 60];
        assert_eq!(window.counting(&times, 65), (0, 2));
        assert_eq!(window.next_change(&times, 65), 70);
        assert_eq!(window.counting(&times, 105), (1, 3));
        assert_eq!(window.next_change(&times, 160), FAR_MS);
        assert_eq!(window.next_presence_timer(&times, 65), Some(160));
        assert_eq!(window.next_presence_timer(&times, 0), Some(15));
        assert_eq!(window.next_presence_timer(&times, 160), None);
    }

    #[test]
    fn an_event_of_a_delayed_window_may_leave_before_it_joins() {
        let window =
            Window::Delayed { window: Box::new(Window::Sliding { far_ms: 100, near_ms: 0 }), delay_ms: 150 };
        assert_eq!(window.counting(&[5], 150), (1, 1));
        assert_eq!(window.next_presence_timer(&[5], 5), None);
    }

    #[test]
    fn between_fixed_instants_time_changes_nothing() {
        let window = Window::Always { first_ms: 10, last_ms: 19 };
        assert!(window.admits(19) && !window.admits(20));
        assert_eq!(window.next_change(&[10, 12], 11), FAR_MS);
    }
}
