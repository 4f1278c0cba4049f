//! Instants and dates in the audience's zone, against a clock or each other (`rules/predicates/dates.py`).

use std::sync::Arc;

use serde_json::Value as Literal;

use super::tables::Locale;
use crate::spec::UnknownRule;
use crate::time::FAR_MS;
use crate::time::calendar::{Calendar, Unit, instant_in_zone};
use crate::time::civil::Date;
use crate::time::instants::{MAX_MS, MIN_MS, number_ms};
use crate::value::Value;
use crate::value::number::Number;

/// Instants of numbers in records are cut off here: durations to compare them with are at most a century.
const FARTHEST_MS: i128 = 1 << 100;
/// Further ahead, or back, than any of them.
const ALWAYS_MS: i128 = 1 << 110;

/// One date operator.
#[derive(Clone, Debug)]
pub enum DateTest {
    /// Holds of values at least so many ms ahead, and less than so many.
    Ahead { low: i128, high: i128, calendar: Arc<Calendar> },
    /// From so long before a day of the year begins until it is over.
    Anniversary { length_ms: i64, calendar: Arc<Calendar> },
}

impl DateTest {
    /// None: another operator. The operand is a duration in ms, or a pair of them.
    pub fn compile(
        operator: &str,
        operand: &Literal,
        locale: &Locale,
    ) -> Result<Option<DateTest>, UnknownRule> {
        let unknown = || UnknownRule(format!("operator {operator} with the operand {operand}"));
        let one = || operand.as_i64().ok_or_else(unknown);
        let calendar = locale.calendar.clone();
        let (low, high) = match operator {
            "anniversary" => return Ok(Some(DateTest::Anniversary { length_ms: one()?, calendar })),
            "older_than" => (-ALWAYS_MS, 1 - i128::from(one()?)),
            "newer_than" => (1 - i128::from(one()?), ALWAYS_MS),
            "in_next" => (0, one()?.into()),
            "between_next" => match operand.as_array().map(Vec::as_slice) {
                Some([near, far]) => {
                    (near.as_i64().ok_or_else(unknown)?.into(), far.as_i64().ok_or_else(unknown)?.into())
                }
                _ => return Err(unknown()),
            },
            _ => return Ok(None),
        };
        Ok(Some(DateTest::Ahead { low, high, calendar }))
    }

    pub fn holds(&self, value: Option<&Value<'_>>, at_ms: i64) -> bool {
        match self {
            DateTest::Ahead { low, high, calendar } => read_date(value, calendar)
                .is_some_and(|instant| (*low..*high).contains(&(instant - i128::from(at_ms)))),
            DateTest::Anniversary { length_ms, calendar } => {
                span(value, at_ms, *length_ms, calendar).is_some_and(|found| found.0 <= at_ms)
            }
        }
    }

    /// The first instant after another at which `holds` may change; `FAR_MS`: never.
    pub fn next_change(&self, value: Option<&Value<'_>>, after_ms: i64) -> i64 {
        match self {
            DateTest::Ahead { low, high, calendar } => {
                let Some(instant) = read_date(value, calendar) else { return FAR_MS };
                // A value comes nearer as time passes: it holds from `high - 1` ahead on, until it is `low` ahead.
                let (begins_ms, ends_ms) = (instant - high + 1, instant - low + 1);
                let change_ms = if begins_ms > after_ms.into() { begins_ms } else { ends_ms };
                match i64::try_from(change_ms) {
                    Ok(change_ms) if after_ms < change_ms && change_ms <= MAX_MS => change_ms,
                    _ => FAR_MS,
                }
            }
            DateTest::Anniversary { length_ms, calendar } => {
                match span(value, after_ms, *length_ms, calendar) {
                    Some((begins_ms, _)) if begins_ms > after_ms => begins_ms,
                    Some((_, ends_ms)) => ends_ms,
                    None => FAR_MS,
                }
            }
        }
    }
}

/// UTC milliseconds of what date operators take: an instant or date as text, or a number.
fn read_date(value: Option<&Value<'_>>, calendar: &Calendar) -> Option<i128> {
    match value? {
        Value::Str(text) => read_text(text, calendar).map(i128::from),
        value => number_ms(Number::of(value)?).map(|at_ms| at_ms.clamp(-FARTHEST_MS, FARTHEST_MS)),
    }
}

/// UTC milliseconds of text that is an instant, or a date: its midnight in the zone.
pub fn read_text(text: &str, calendar: &Calendar) -> Option<i64> {
    instant_in_zone(text, calendar)
}

/// The first stretch in which an anniversary holds and that isn't over at an instant.
fn span(value: Option<&Value<'_>>, at_ms: i64, length_ms: i64, calendar: &Calendar) -> Option<(i64, i64)> {
    let instant = i64::try_from(read_date(value, calendar)?).ok()?;
    if !(MIN_MS..=MAX_MS).contains(&instant) {
        return None;
    }
    let day = match value {
        Some(Value::Str(text)) if text.len() == 10 => written_date(text)?,
        _ => calendar.date(instant),
    };
    let mut year = (day.year + 1).max(calendar.date(at_ms).year);
    while year < 9998 {
        let ordinal = in_year(day, year).ordinal();
        let end_ms = calendar.start(Unit::Day, ordinal + 1);
        if end_ms > at_ms {
            return Some((calendar.start(Unit::Day, ordinal).saturating_sub(length_ms), end_ms));
        }
        year += 1;
    }
    None
}

/// The date of `YYYY-MM-DD`.
fn written_date(text: &str) -> Option<Date> {
    let number = |from, to| text.get(from..to).and_then(|digits: &str| digits.parse().ok());
    Date::new(number(0, 4)?, number(5, 7)?, number(8, 10)?)
}

/// 29 February is 28 February where there is none.
fn in_year(day: Date, year: i64) -> Date {
    Date::new(year, day.month, day.day).unwrap_or(Date { year, month: 2, day: 28 })
}
