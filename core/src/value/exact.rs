//! Sums of floats that lose nothing, and their rounding, bit for bit as Python has them
//! (`rules/aggregates/sums.py`; `math.fsum` and `round` of CPython).

use smallvec::SmallVec;

use super::Value;

/// Non-overlapping floats, the least first, whose sum is exact (Shewchuk 1997).
pub type Exact = SmallVec<[f64; 2]>;

/// Numbers beyond this do not take part in sums, so that no sum of any length overflows.
const FLOAT_LIMIT: f64 = 1e290;

/// Add to a list of non-overlapping floats without losing a bit (Shewchuk's grow-expansion).
pub fn add_exactly(partials: &mut Exact, mut number: f64) {
    let mut kept = 0;
    for at in 0..partials.len() {
        let partial = partials[at];
        let (high, low) = if number.abs() >= partial.abs() { (number, partial) } else { (partial, number) };
        number = high + low;
        let error = low - (number - high);
        if error != 0.0 {
            partials[kept] = error;
            kept += 1;
        }
    }
    partials.truncate(kept);
    if number != 0.0 {
        partials.push(number);
    }
}

/// Non-overlapping floats with the numbers' exact sum; one number is it as it stands.
pub fn exact_parts(numbers: &[f64]) -> Exact {
    if let [number] = numbers {
        return Exact::from_slice(&[*number]);
    }
    let mut exact = Exact::new();
    for number in numbers {
        add_exactly(&mut exact, *number);
    }
    exact
}

/// The sum of numbers that may overlap, rounded once: `math.fsum`.
pub fn fsum(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut partials = SmallVec::<[f64; 8]>::new();
    for mut number in numbers {
        let mut kept = 0;
        for at in 0..partials.len() {
            let mut partial = partials[at];
            if number.abs() < partial.abs() {
                std::mem::swap(&mut number, &mut partial);
            }
            let high = number + partial;
            let low = partial - (high - number);
            if low != 0.0 {
                partials[kept] = low;
                kept += 1;
            }
            number = high;
        }
        partials.truncate(kept);
        if number != 0.0 {
            partials.push(number);
        }
    }
    rounded_once(&partials)
}

/// The float nearest to the sum of non-overlapping floats, the least first.
fn rounded_once(partials: &[f64]) -> f64 {
    let mut rest = partials.iter().rev();
    let Some(mut high) = rest.next().copied() else { return 0.0 };
    let mut low = 0.0;
    for partial in rest.by_ref() {
        let before = high;
        high = before + partial;
        low = partial - (high - before);
        if low != 0.0 {
            break;
        }
    }
    // What is exactly between two floats was rounded to the even one: the parts below may say otherwise.
    if let Some(next) = rest.next()
        && ((low < 0.0 && *next < 0.0) || (low > 0.0 && *next > 0.0))
    {
        let twice = low * 2.0;
        let other = high + twice;
        if twice == other - high {
            high = other;
        }
    }
    high
}

/// `round(number, 9)`: the float nearest to the decimal of nine places that is nearest to the number's exact
/// value, halves to even.
pub fn round_9(number: f64) -> f64 {
    let scaled = number * 1e9;
    if scaled.abs() < (1u64 << 50) as f64 {
        // The product is off by less than 1/16. Further from a half than that, its nearest whole number is
        // right, and the quotient of two floats that are exact is rounded once.
        let half_off = (scaled - scaled.floor() - 0.5).abs();
        if half_off > 0.1 {
            return (scaled.round() / 1e9).copysign(number);
        }
    }
    format!("{number:.9}").parse().unwrap_or(number)
}

/// A value that takes part in sums and means; `None` for all else.
#[inline]
pub fn number_of(value: Option<&Value<'_>>) -> Option<f64> {
    match value {
        Some(Value::Int(whole)) => Some(*whole as f64),
        Some(Value::Float(number)) if -FLOAT_LIMIT < *number && *number < FLOAT_LIMIT => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_at_the_ninth_place_go_to_the_even_digit() {
        for (number, rounded) in [
            (0.0009765625, 0.000976562),
            (0.0029296875, 0.002929688),
            (-0.0029296875, -0.002929688),
            (0.1 + 0.2, 0.3),
            (1e22, 1e22),
            (123456789.12345678, 123456789.12345678),
            (1.0000000005, 1.000000001),
            (1.0000000015, 1.000000001),
            (5e-10, 1e-9),
        ] {
            assert_eq!(round_9(number).to_bits(), f64::to_bits(rounded), "{number}");
        }
        assert_eq!(round_9(-1e-12).to_bits(), (-0.0f64).to_bits());
    }

    #[test]
    fn a_sum_is_rounded_once() {
        assert_eq!(fsum([1e100, 1.0, -1e100, 1e-100]), 1.0);
        assert_eq!(fsum([0.1; 10]), 1.0);
        // Half way between two floats but for the least part.
        assert_eq!(fsum([1.0, f64::EPSILON / 2.0, 1e-30]), 1.0 + f64::EPSILON);
        assert_eq!(fsum([1.0, f64::EPSILON / 2.0, -1e-30]), 1.0);
        assert_eq!(fsum([]), 0.0);
    }

    proptest! {
        #[test]
        fn what_is_added_and_taken_away_leaves_nothing(numbers in prop::collection::vec(-1e200..1e200f64, 0..20)) {
            let mut exact = Exact::new();
            numbers.iter().for_each(|each| add_exactly(&mut exact, *each));
            prop_assert_eq!(fsum(exact.iter().copied()), fsum(numbers.iter().copied()));
            numbers.iter().for_each(|each| add_exactly(&mut exact, -*each));
            prop_assert!(exact.is_empty(), "{exact:?}");
        }

        #[test]
        fn the_short_way_to_round_gives_what_the_long_one_gives(number in -2e6..2e6f64, places in 0..14i32) {
            let shorter = (number * 10f64.powi(places)).round() / 10f64.powi(places);
            for each in [number, shorter, shorter / 1e5] {
                let long: f64 = format!("{each:.9}").parse().expect("a number");
                prop_assert_eq!(round_9(each).to_bits(), long.to_bits());
            }
        }
    }
}
