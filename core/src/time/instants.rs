//! Instants: whole UTC milliseconds inside, RFC 3339 at the edges (`rules/time/instants.py`).

use crate::value::number::Number;

/// A number below this is epoch seconds, also a negative one; otherwise it is milliseconds.
pub const SECONDS_BELOW: i64 = 100_000_000_000;
/// 0001-01-01T00:00:00Z
pub const MIN_MS: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z
pub const MAX_MS: i64 = 253_402_300_799_999;
/// Length of the text of an instant.
pub const INSTANT_BYTES: usize = 24;

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 UTC of an RFC 3339 text, or of a date (its UTC midnight). None: it is neither, or
/// outside the years 1 to 9999. Fractions are cut to milliseconds.
///
/// Python's faster way for texts of 24 characters takes the very same ones.
pub fn parse_instant(text: &str) -> Option<i64> {
    let bytes = text.as_bytes(); // what isn't ASCII matches nothing below
    let (date, rest) = bytes.split_first_chunk::<10>()?;
    let day_ms = day_ms(date)?;
    if rest.is_empty() {
        return Some(day_ms);
    }
    let (time, rest) = rest.split_first_chunk::<9>()?;
    let (fraction_ms, offset) = match rest.split_first()? {
        (b'.', digits) => {
            let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (fraction_ms(digits.get(..length)?)?, digits.get(length..)?)
        }
        _ => (0, rest),
    };
    let ms = day_ms + time_ms(time)? - offset_ms(offset)? + fraction_ms;
    (MIN_MS..=MAX_MS).contains(&ms).then_some(ms)
}

/// Likewise of an epoch number.
pub fn instant_of(number: Number) -> Option<i64> {
    match number {
        Number::Int(whole) => {
            let ms = if whole >= SECONDS_BELOW { whole } else { whole.checked_mul(1000)? };
            (MIN_MS..=MAX_MS).contains(&ms).then_some(ms)
        }
        Number::Float(float) => {
            let ms = if float >= SECONDS_BELOW as f64 { float } else { float * 1000.0 };
            (MIN_MS as f64..=MAX_MS as f64).contains(&ms).then_some(ms as i64)
        }
    }
}

/// The instant of an epoch number, in whatever year. None: it is not finite.
pub fn number_ms(number: Number) -> Option<i128> {
    match number {
        Number::Int(whole) if whole >= SECONDS_BELOW => Some(i128::from(whole)),
        Number::Int(whole) => Some(i128::from(whole) * 1000),
        Number::Float(float) if !float.is_finite() => None,
        Number::Float(float) if float >= SECONDS_BELOW as f64 => Some(float as i128),
        Number::Float(float) if float > -SECONDS_BELOW as f64 => Some((float * 1000.0) as i128),
        Number::Float(float) => Some((float as i128).saturating_mul(1000)),
    }
}

/// UTC midnight of `YYYY-MM-DD`.
fn day_ms(date: &[u8; 10]) -> Option<i64> {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = date else { return None };
    let year = two(a, b)? * 100 + two(c, d)?;
    let (month, day) = (two(e, f)?, two(g, h)?);
    if year < 1 || day < 1 || day > days_of_month(year, month)? {
        return None;
    }
    Some(days_since_1970(year, month, day) * DAY_MS)
}

/// Milliseconds since midnight of `THH:MM:SS`.
fn time_ms(time: &[u8; 9]) -> Option<i64> {
    let &[b'T' | b't' | b' ', a, b, b':', c, d, b':', e, f] = time else { return None };
    let (hour, minute, second) = (two(a, b)?, two(c, d)?, two(e, f)?);
    (hour < 24 && minute < 60 && second < 60).then_some(((hour * 60 + minute) * 60 + second) * 1000)
}

/// What `Z` or `+HH:MM` adds to UTC.
fn offset_ms(offset: &[u8]) -> Option<i64> {
    match *offset {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let (hour, minute) = (two(a, b)?, two(c, d)?);
            let ms = (hour * 60 + minute) * 60_000;
            (hour < 24 && minute < 60).then_some(if sign == b'+' { ms } else { -ms })
        }
        _ => None,
    }
}

/// The first three of one to nine digits after the point.
fn fraction_ms(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let digit = |at: usize| digits.get(at).map_or(0, |byte| i64::from(byte - b'0'));
    Some(digit(0) * 100 + digit(1) * 10 + digit(2))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

fn days_of_month(year: i64, month: i64) -> Option<i64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 29 } else { 28 }),
        _ => None,
    }
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar
/// (https://howardhinnant.github.io/date_algorithms.html, days_from_civil).
pub fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// (year, month, day) of a day that is so many days after 1970-01-01 (ibid., civil_from_days).
pub fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days - era * 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// RFC 3339 in UTC with milliseconds, as every output writes it; beyond the year 9999 its last instant, before
/// the year 1 its first.
pub fn format_instant(ms: i64) -> [u8; INSTANT_BYTES] {
    let ms = ms.clamp(MIN_MS, MAX_MS);
    let (year, month, day) = date_of(ms.div_euclid(DAY_MS));
    let of_day = ms.rem_euclid(DAY_MS);
    let (second, fraction) = (of_day / 1000, of_day % 1000);
    let digit = |number: i64| b'0' + (number % 10) as u8;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    text[0..4].copy_from_slice(&[digit(year / 1000), digit(year / 100), digit(year / 10), digit(year)]);
    text[5..7].copy_from_slice(&[digit(month / 10), digit(month)]);
    text[8..10].copy_from_slice(&[digit(day / 10), digit(day)]);
    text[11..13].copy_from_slice(&[digit(second / 36_000), digit(second / 3600)]);
    text[14..16].copy_from_slice(&[digit(second / 600 % 6), digit(second / 60)]);
    text[17..19].copy_from_slice(&[digit(second / 10 % 6), digit(second)]);
    text[20..23].copy_from_slice(&[digit(fraction / 100), digit(fraction / 10), digit(fraction)]);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(ms: i64) -> String {
        String::from_utf8_lossy(&format_instant(ms)).into_owned()
    }

    #[test]
    fn instants_are_read_as_rfc_3339_says() {
        assert_eq!(parse_instant("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_instant("2024-02-29"), Some(1_709_164_800_000));
        assert_eq!(parse_instant("1970-01-01t01:00:00.1239+01:00"), Some(123));
        assert_eq!(parse_instant("1969-12-31 23:59:59.9z"), Some(-100));
        for bad in [
            "",
            "2024",
            "2023-02-29",
            "2024-05-01T24:00:00Z",
            "2024-05-01T10:00:60Z",
            "2024-05-01T10:00Z",
            "2024-05-01T10:00:00",
            "2024-05-01T10:00:00.Z",
            "2024-05-01T10:00:00.1234567890Z",
            "0000-01-01",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2024-W01-1T10:00:00.000Z",
            "2024-05-01T10:00:00+24:00",
            "2024-05-01T10:00:00Zé",
            "２024-05-01",
        ] {
            assert_eq!(parse_instant(bad), None, "{bad}");
        }
    }

    #[test]
    fn small_numbers_are_seconds() {
        assert_eq!(instant_of(Number::Int(1)), Some(1000));
        assert_eq!(instant_of(Number::Int(SECONDS_BELOW)), Some(SECONDS_BELOW));
        assert_eq!(instant_of(Number::Float(1.5)), Some(1500));
        assert_eq!(instant_of(Number::Int(i64::MAX)), None);
        assert_eq!(instant_of(Number::Int(i64::MIN)), None);
        assert_eq!(instant_of(Number::Float(f64::NAN)), None);
        assert_eq!(number_ms(Number::Float(-1.5e11)), Some(-150_000_000_000_000));
    }

    #[test]
    fn what_is_beyond_the_years_is_their_end() {
        assert_eq!(written(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(written(i64::MIN), "0001-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn an_instant_that_is_written_is_read(ms in MIN_MS..=MAX_MS) {
            prop_assert_eq!(parse_instant(&written(ms)), Some(ms));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            parse_instant(&text);
        }
    }
}
