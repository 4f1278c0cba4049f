//! Calendar periods in a time zone: which one an instant is in, and where each begins (`rules/time/calendar.py`).
//!
//! Periods are numbered: hours since 1970, days as `date.toordinal` has them, weeks from a Monday, months and
//! years from year 0. The zone is a table that Python makes of its `zoneinfo` (`rules/compile/tables.py`).

use super::civil::{Date, ORDINAL_1970};
use super::instants::{MAX_MS, MIN_MS, parse_instant};

pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// Local time must not leave the years 1 to 9999, either.
const MARGIN_MS: i64 = 48 * HOUR_MS;
/// 400 years: days of the month, of the week and leap years come again, and so do the rules of zones.
const CYCLE_MS: i64 = 146_097 * DAY_MS;
/// 2500-01-01: up to here tables say every change, from there on it is as 400 years before.
const TABLE_END_MS: i64 = 16_725_225_600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    pub fn of(name: &str) -> Option<Unit> {
        Some(match name {
            "hour" => Unit::Hour,
            "day" => Unit::Day,
            "week" => Unit::Week,
            "month" => Unit::Month,
            "year" => Unit::Year,
            _ => return None,
        })
    }

    /// Numbers below are of periods long ago, those from it on of periods to come.
    fn middle(self) -> i64 {
        match self {
            Unit::Hour => 0,
            Unit::Day => 719_163,
            Unit::Week => 102_737,
            Unit::Month => 23_640,
            Unit::Year => 1970,
        }
    }
}

/// A period: `start_ms <= at_ms < end_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub start_ms: i64,
    pub end_ms: i64,
    pub number: i64,
}

/// The periods of one zone.
#[derive(Debug)]
pub struct Calendar {
    pub zone: String,
    /// Offset before the first change.
    first_ms: i64,
    /// (instant, offset from then on), ascending.
    changes: Vec<(i64, i64)>,
    /// What the clock shows when an offset begins to hold, for times that come twice: the later, the earlier.
    walls: [Vec<i64>; 2],
}

impl Calendar {
    /// `table`: (first instant in UTC, offset in ms), ascending; empty for UTC.
    pub fn new(zone: &str, table: &[(i64, i64)]) -> Calendar {
        let first_ms = table.first().map_or(0, |each| each.1);
        let changes = table.get(1..).unwrap_or_default().to_vec();
        let mut walls = [Vec::new(), Vec::new()];
        let mut before = first_ms;
        for (at_ms, after) in &changes {
            walls[0].push(at_ms + before.max(*after));
            walls[1].push(at_ms + before.min(*after));
            before = *after;
        }
        Calendar { zone: zone.to_owned(), first_ms, changes, walls }
    }

    /// The number of the period of an instant.
    pub fn period(&self, unit: Unit, at_ms: i64) -> i64 {
        self.bounds(unit, at_ms).number
    }

    /// The period of an instant.
    pub fn bounds(&self, unit: Unit, at_ms: i64) -> Bounds {
        let at_ms = within_margin(at_ms);
        let mut number = self.number(unit, at_ms);
        let mut start_ms = self.start(unit, number);
        while start_ms > at_ms {
            number -= 1;
            start_ms = self.start(unit, number);
        }
        let mut end_ms = self.start(unit, number + 1);
        while end_ms <= at_ms {
            number += 1;
            (start_ms, end_ms) = (end_ms, self.start(unit, number + 1));
        }
        Bounds { start_ms, end_ms, number }
    }

    /// The first instant of a period; the end of time for those that can't be written.
    pub fn start(&self, unit: Unit, number: i64) -> i64 {
        let first = match unit {
            Unit::Hour => return self.start_of_hour(number),
            Unit::Day => Date::of_ordinal(number),
            Unit::Week => number.checked_mul(7).and_then(|day| Date::of_ordinal(day.checked_add(1)?)),
            Unit::Month => Date::new(number.div_euclid(12), number.rem_euclid(12) + 1, 1),
            Unit::Year => Date::new(number, 1, 1),
        };
        match first.filter(|date| 1 < date.year && date.year < 9999) {
            Some(date) => self.instants(wall_ms(date)).0,
            None if number < unit.middle() => MIN_MS,
            None => MAX_MS + 1,
        }
    }

    /// The date on the zone's clock.
    pub fn date(&self, at_ms: i64) -> Date {
        date_of(self.local_ms(at_ms))
    }

    /// What the zone's clock shows, as if it were UTC.
    pub fn local_ms(&self, at_ms: i64) -> i64 {
        let at_ms = within_margin(at_ms);
        at_ms + self.offset_ms(at_ms)
    }

    /// The instants at which the zone's clock shows `wall_ms`: mostly one, two when clocks go back, and when
    /// they go forward past it the first instant after the gap.
    pub fn instants(&self, wall_ms: i64) -> (i64, Option<i64>) {
        let first = wall_ms - self.wall_offset_ms(wall_ms, 0);
        let second = wall_ms - self.wall_offset_ms(wall_ms, 1);
        if first == second {
            return (first, None);
        }
        if first < second {
            return (first, Some(second));
        }
        let (mut before, mut after) = (second, first); // a gap: the change lies between
        let shown = self.offset_ms(after);
        while after - before > 1 {
            let middle = (before + after) >> 1;
            if self.offset_ms(middle) == shown {
                after = middle;
            } else {
                before = middle;
            }
        }
        (after, None)
    }

    fn offset_ms(&self, at_ms: i64) -> i64 {
        if self.changes.is_empty() {
            return self.first_ms;
        }
        let at_ms = in_table(at_ms, TABLE_END_MS);
        self.before(self.changes.partition_point(|each| each.0 <= at_ms))
    }

    /// The offset of what a clock shows; `fold`: 1 if it shows it for the second time.
    fn wall_offset_ms(&self, wall_ms: i64, fold: usize) -> i64 {
        let Some(walls) = self.walls.get(fold) else { return self.first_ms };
        if walls.is_empty() {
            return self.first_ms;
        }
        // Less than a day lies between the clock and UTC.
        let wall_ms = in_table(wall_ms, TABLE_END_MS - 2 * DAY_MS);
        self.before(walls.partition_point(|each| *each <= wall_ms))
    }

    /// The offset before a change, by its number.
    fn before(&self, at: usize) -> i64 {
        at.checked_sub(1).and_then(|last| self.changes.get(last)).map_or(self.first_ms, |each| each.1)
    }

    /// The period that the clock shows: off by one where a change of the clock crosses a boundary.
    fn number(&self, unit: Unit, at_ms: i64) -> i64 {
        let offset_ms = self.offset_ms(at_ms);
        if unit == Unit::Hour {
            return (at_ms + offset_ms.rem_euclid(HOUR_MS)).div_euclid(HOUR_MS);
        }
        let day = (at_ms + offset_ms).div_euclid(DAY_MS) + ORDINAL_1970;
        match unit {
            Unit::Hour | Unit::Day => day,
            Unit::Week => (day - 1).div_euclid(7),
            Unit::Month => {
                let date = date_of(at_ms + offset_ms);
                date.year * 12 + date.month - 1
            }
            Unit::Year => date_of(at_ms + offset_ms).year,
        }
    }

    fn start_of_hour(&self, number: i64) -> i64 {
        let near = number.saturating_mul(HOUR_MS);
        if !(MIN_MS + 2 * MARGIN_MS < near && near < MAX_MS - 2 * MARGIN_MS) {
            return if near < 0 { MIN_MS } else { MAX_MS + 1 };
        }
        let start = near - self.offset_ms(near).rem_euclid(HOUR_MS);
        if self.number(Unit::Hour, start) == number && self.number(Unit::Hour, start - 1) == number - 1 {
            return start;
        }
        // Half an hour was put in or left out.
        let (mut before, mut after) = (near - 2 * HOUR_MS, near + 2 * HOUR_MS);
        while after - before > 1 {
            let middle = (before + after) >> 1;
            if self.number(Unit::Hour, middle) >= number {
                after = middle;
            } else {
                before = middle;
            }
        }
        after
    }
}

fn within_margin(at_ms: i64) -> i64 {
    at_ms.clamp(MIN_MS + MARGIN_MS, MAX_MS - MARGIN_MS)
}

/// The instant before `end_ms` at which clocks do the same.
fn in_table(at_ms: i64, end_ms: i64) -> i64 {
    if at_ms < end_ms { at_ms } else { at_ms - ((at_ms - end_ms) / CYCLE_MS + 1) * CYCLE_MS }
}

/// The date of an instant in UTC, or of what a clock shows.
pub fn date_of(wall_ms: i64) -> Date {
    Date::of_day(wall_ms.div_euclid(DAY_MS))
}

/// The midnight of a date, as if it were in UTC.
pub fn wall_ms(date: Date) -> i64 {
    (date.ordinal() - ORDINAL_1970) * DAY_MS
}

/// UTC milliseconds of text that is an instant, or a date: its midnight in the zone. Dates of the first and the
/// last year that can be written are their midnight in UTC.
pub fn instant_in_zone(text: &str, calendar: &Calendar) -> Option<i64> {
    let instant = parse_instant(text)?;
    if text.len() == 10 && calendar.zone != "UTC" {
        let date = date_of(instant);
        if 1 < date.year && date.year < 9999 {
            return Some(calendar.start(Unit::Day, date.ordinal()));
        }
    }
    Some(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_the_clock_shows_twice_has_two_instants_and_one_that_it_skips_the_end_of_the_gap() {
        // Berlin in 2024: forward on 31 March, back on 27 October, at 01:00 UTC.
        let (forward, back) = (1_711_846_800_000, 1_729_990_800_000);
        let calendar = Calendar::new("Z", &[(MIN_MS, HOUR_MS), (forward, 2 * HOUR_MS), (back, HOUR_MS)]);
        assert_eq!(calendar.instants(back + HOUR_MS), (back - HOUR_MS, Some(back)));
        assert_eq!(calendar.instants(forward + HOUR_MS + 1), (forward, None));
        let day = calendar.bounds(Unit::Day, forward);
        assert_eq!(day.end_ms - day.start_ms, 23 * HOUR_MS);
    }

    #[test]
    fn what_cannot_be_written_begins_at_an_end_of_time() {
        let calendar = Calendar::new("UTC", &[]);
        for unit in [Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year] {
            assert_eq!(calendar.start(unit, i64::MIN), MIN_MS);
            assert_eq!(calendar.start(unit, i64::MAX), MAX_MS + 1);
            assert!(calendar.bounds(unit, i64::MAX).start_ms < MAX_MS);
        }
    }
}
