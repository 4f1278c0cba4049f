//! Dates of the Gregorian calendar in the years 1 to 9999, as Python's `date` has them.

use super::instants::{date_of, days_since_1970};

/// `date(1970, 1, 1).toordinal()`.
pub const ORDINAL_1970: i64 = 719_163;
/// `date.max.toordinal()`.
const LAST_ORDINAL: i64 = 3_652_059;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    pub year: i64,
    pub month: i64,
    pub day: i64,
}

pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Date {
    /// None: there is no such date.
    pub fn new(year: i64, month: i64, day: i64) -> Option<Date> {
        let exists = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        exists.then_some(Date { year, month, day })
    }

    /// Of the days since 31 December of the year 0.
    pub fn of_ordinal(ordinal: i64) -> Option<Date> {
        (1..=LAST_ORDINAL).contains(&ordinal).then(|| Date::of_day(ordinal - ORDINAL_1970))
    }

    /// Of the days since 1970, in whatever year.
    pub fn of_day(day: i64) -> Date {
        let (year, month, day) = date_of(day);
        Date { year, month, day }
    }

    /// As `date.toordinal`.
    pub fn ordinal(self) -> i64 {
        days_since_1970(self.year, self.month, self.day) + ORDINAL_1970
    }

    /// `isoweekday() % 7`: Sunday is 0.
    pub fn weekday(self) -> i64 {
        self.ordinal().rem_euclid(7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut date, mut ordinal) = (Date { year: 1, month: 1, day: 1 }, 1);
        while ordinal <= LAST_ORDINAL {
            assert_eq!((date.ordinal(), Date::of_ordinal(ordinal)), (ordinal, Some(date)));
            ordinal += 1;
            date.day += 1;
            if date.day > days_in_month(date.year, date.month) {
                (date.month, date.day) = (date.month + 1, 1);
            }
            if date.month > 12 {
                (date.year, date.month) = (date.year + 1, 1);
            }
        }
        assert_eq!(Date { year: 1970, month: 1, day: 1 }.ordinal(), ORDINAL_1970);
    }
}
