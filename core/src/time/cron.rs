//! Cron expressions, as the days and times that they name (`rules/time/cron.py`, and Cron in
//! `rules/time/schedules.py`). Python reads the expression.

use std::sync::{Arc, Mutex, PoisonError};

use super::calendar::{Calendar, DAY_MS, wall_ms};
use super::civil::{Date, days_in_month};
use super::instants::{MAX_MS, MIN_MS};
use crate::spec::CronTableSpec;

/// As far as a day is looked for, and farther where months are passed over.
const MAX_DAYS: usize = 50 * 366;
const MARGIN_MS: i64 = 7 * DAY_MS;
const MINUTE_MS: i64 = 60_000;
/// A local day lies between so many days before the midnight of its date in UTC and so many after.
const BEFORE: i64 = 1;
const AFTER: i64 = 2;

/// The times of a cron expression of five fields in a time zone.
#[derive(Debug)]
pub struct Cron {
    calendar: Arc<Calendar>,
    table: CronTableSpec,
    /// An instant and the next one: most questions are about times between the two.
    between: Mutex<Option<(i64, i64)>>,
}

impl Cron {
    pub fn new(calendar: Arc<Calendar>, table: CronTableSpec) -> Cron {
        Cron { calendar, table, between: Mutex::new(None) }
    }

    /// The last instant at or before an instant.
    pub fn latest(&self, at_ms: i64) -> Option<i64> {
        if let Some((before, _)) = self.known(at_ms) {
            return Some(before);
        }
        let found = self.find_latest(at_ms)?;
        self.keep(found, self.find_next(found));
        Some(found)
    }

    /// The first instant after an instant.
    pub fn next(&self, after_ms: i64) -> Option<i64> {
        if let Some((_, after)) = self.known(after_ms) {
            return Some(after);
        }
        let found = self.find_next(after_ms)?;
        if let Some(before) = self.find_latest(after_ms) {
            self.keep(before, Some(found));
        }
        Some(found)
    }

    fn known(&self, at_ms: i64) -> Option<(i64, i64)> {
        let between = *self.between.lock().unwrap_or_else(PoisonError::into_inner);
        between.filter(|(before, after)| (*before..*after).contains(&at_ms))
    }

    fn keep(&self, before: i64, after: Option<i64>) {
        if let Some(after) = after {
            *self.between.lock().unwrap_or_else(PoisonError::into_inner) = Some((before, after));
        }
    }

    fn find_next(&self, after_ms: i64) -> Option<i64> {
        let mut found: Option<i64> = None;
        let mut day = self.day(utc_ordinal(after_ms) - AFTER - 1, 1);
        while let Some((ordinal, date)) = day {
            if found.is_some_and(|at_ms| ordinal - BEFORE > utc_ordinal(at_ms)) {
                break;
            }
            let first = self.of_day(date).filter(|each| *each > after_ms).min();
            found = first.into_iter().chain(found).min();
            day = self.day(ordinal, 1);
        }
        found
    }

    fn find_latest(&self, at_ms: i64) -> Option<i64> {
        let mut found: Option<i64> = None;
        let mut day = self.day(utc_ordinal(at_ms) + BEFORE + 1, -1);
        while let Some((ordinal, date)) = day {
            if found.is_some_and(|at_ms| ordinal + AFTER < utc_ordinal(at_ms)) {
                break;
            }
            let last = self.of_day(date).filter(|each| *each <= at_ms).max();
            found = last.into_iter().chain(found).max();
            day = self.day(ordinal, -1);
        }
        found
    }

    /// The instants of a local day that has the times.
    fn of_day(&self, date: Date) -> impl Iterator<Item = i64> + '_ {
        let CronTableSpec::CronTable { minutes, is_twice, .. } = &self.table;
        minutes.iter().flat_map(move |minute| {
            let (first, second) = self.calendar.instants(wall_ms(date) + minute * MINUTE_MS);
            [Some(first), second.filter(|_| *is_twice)].into_iter().flatten()
        })
    }

    /// The next day, or with `step` -1 the one before, that has the times.
    fn day(&self, mut ordinal: i64, step: i64) -> Option<(i64, Date)> {
        let CronTableSpec::CronTable { months, .. } = &self.table;
        for _ in 0..MAX_DAYS {
            ordinal += step;
            let date = Date::of_ordinal(ordinal)?;
            if !months.contains(&date.month) {
                let end = if step < 0 { 1 } else { days_in_month(date.year, date.month) };
                ordinal += end - date.day;
            } else if self.has(date) {
                return Some((ordinal, date));
            }
        }
        None
    }

    /// Whether the times come on a day.
    fn has(&self, date: Date) -> bool {
        let CronTableSpec::CronTable { months, days, is_last_day, weekdays, nth, is_either, .. } =
            &self.table;
        if !months.contains(&date.month) {
            return false;
        }
        let last = days_in_month(date.year, date.month);
        let of_month = days.contains(&date.day) || (*is_last_day && date.day == last);
        let weekday = date.weekday();
        if nth.is_empty() {
            let of_week = weekdays.contains(&weekday);
            return if *is_either { of_month || of_week } else { of_month && of_week };
        }
        let of_week = nth.contains(&(weekday, (date.day + 6) / 7))
            || (nth.contains(&(weekday, 0)) && date.day + 7 > last);
        of_week && (of_month || *is_either)
    }
}

/// The date in UTC; not so near the ends of time that days around it can't be written.
fn utc_ordinal(at_ms: i64) -> i64 {
    super::calendar::date_of(at_ms.clamp(MIN_MS + MARGIN_MS, MAX_MS - MARGIN_MS)).ordinal()
}
