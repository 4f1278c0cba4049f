//! Numbers and equality as Python has them (`rules/state/profile_update.py`): whole numbers and floats compare
//! exactly, also beyond 2^53.

use std::cmp::Ordering;

use super::Value;

const TWO_63: f64 = 9_223_372_036_854_775_808.0;
/// Sums beyond have no finite float that is surely right.
const MOST: f64 = 1.7e308;

/// A number that is whole or a float, as it was written.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// Of a value that is a number; booleans are none.
    #[inline]
    pub fn of(value: &Value<'_>) -> Option<Number> {
        match value {
            Value::Int(number) => Some(Number::Int(*number)),
            Value::Float(number) => Some(Number::Float(*number)),
            _ => None,
        }
    }

    /// Python's `float(number)`.
    #[inline]
    pub fn float(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Float(number) => number,
        }
    }

    pub fn value(self) -> Value<'static> {
        match self {
            Number::Int(number) => Value::Int(number),
            Number::Float(number) => Value::Float(number),
        }
    }
}

impl PartialEq for Number {
    #[inline]
    fn eq(&self, other: &Number) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    /// None where a float is not a number.
    #[inline]
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        match (*self, *other) {
            (Number::Int(one), Number::Int(two)) => Some(one.cmp(&two)),
            (Number::Float(one), Number::Float(two)) => one.partial_cmp(&two),
            (Number::Int(one), Number::Float(two)) => compare(one, two),
            (Number::Float(one), Number::Int(two)) => compare(two, one).map(Ordering::reverse),
        }
    }
}

/// A whole number against a float, exactly. None: the float is not a number.
pub fn compare(whole: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float >= TWO_63 {
        return Some(Ordering::Less);
    }
    if float < -TWO_63 {
        return Some(Ordering::Greater);
    }
    let truncated = float.trunc();
    // Below 2^63 the whole part has a 64-bit number of its own.
    Some(
        whole.cmp(&(truncated as i64)).then_with(|| truncated.partial_cmp(&float).unwrap_or(Ordering::Equal)),
    )
}

/// The whole number that equals a float, if there is one in 64 bits.
#[inline]
pub fn whole(float: f64) -> Option<i64> {
    ((-TWO_63..TWO_63).contains(&float) && float.trunc() == float).then_some(float as i64)
}

/// Equal as JSON values (`same_value`): `1` is `1.0`, `true` is not `1`, inside arrays and objects too.
pub fn same_value(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Str(one), Value::Str(other)) => one == other,
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, each)| other.get(name).is_some_and(|found| same_value(each, found)))
        }
        _ => match (Number::of(one), Number::of(other)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        },
    }
}

/// Python's `one == other`: as `same_value`, but `true` is `1` and `false` is `0`.
pub fn equal(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, each)| other.get(name).is_some_and(|found| equal(each, found)))
        }
        (Value::Bool(one), other) => same_value(&Value::Int(i64::from(*one)), other) || is_bool(other, *one),
        (one, Value::Bool(other)) => same_value(one, &Value::Int(i64::from(*other))),
        _ => same_value(one, other),
    }
}

fn is_bool(value: &Value<'_>, expected: bool) -> bool {
    matches!(value, Value::Bool(is) if *is == expected)
}

/// Equal for values that are the same (`same_value`), and only for those; it can be put into a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueKey {
    Null,
    Bool(bool),
    Int(i64),
    /// The bits of a float that equals no whole number of 64 bits.
    Float(u64),
    Str(Box<str>),
    List(Box<[ValueKey]>),
    /// By name, in the order of names.
    Map(Box<[(Box<str>, ValueKey)]>),
}

pub fn key_of(value: &Value<'_>) -> ValueKey {
    match value {
        Value::Null => ValueKey::Null,
        Value::Bool(is) => ValueKey::Bool(*is),
        Value::Int(number) => ValueKey::Int(*number),
        Value::Float(number) => match whole(*number) {
            Some(number) => ValueKey::Int(number),
            None => ValueKey::Float(number.to_bits()),
        },
        Value::Str(text) => ValueKey::Str(text.as_ref().into()),
        Value::List(items) => ValueKey::List(items.iter().map(key_of).collect()),
        Value::Map(map) => {
            let mut entries: Vec<_> =
                map.iter().map(|(name, each)| (Box::<str>::from(name.as_ref()), key_of(each))).collect();
            entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            ValueKey::Map(entries.into())
        }
    }
}

/// A sum that stays a 64-bit whole number or a finite float, whatever is added (`_bounded_sum`).
pub fn bounded_sum(one: Number, other: Number) -> Number {
    let total = match (one, other) {
        (Number::Int(left), Number::Int(right)) => match left.checked_add(right) {
            Some(total) => return Number::Int(total),
            None => (i128::from(left) + i128::from(right)) as f64,
        },
        _ => one.float() + other.float(),
    };
    if -MOST < total && total < MOST { Number::Float(total) } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_and_floats_compare_exactly_beyond_53_bits() {
        let large = (1i64 << 53) + 1;
        assert_eq!(compare(large, 9_007_199_254_740_992.0), Some(Ordering::Greater));
        assert_eq!(compare(i64::MAX, TWO_63), Some(Ordering::Less));
        assert_eq!(compare(i64::MIN, -TWO_63), Some(Ordering::Equal));
        assert_eq!(compare(0, -0.5), Some(Ordering::Greater));
        assert_eq!(compare(0, 0.5), Some(Ordering::Less));
        assert_eq!(compare(-3, -3.5), Some(Ordering::Greater));
        assert_eq!(compare(5, f64::INFINITY), Some(Ordering::Less));
        assert_eq!(compare(5, f64::NAN), None);
    }

    #[test]
    fn true_is_one_for_python_and_not_for_json() {
        let (truth, one, point) = (Value::Bool(true), Value::Int(1), Value::Float(1.0));
        assert!(equal(&truth, &one) && equal(&point, &truth) && equal(&truth, &truth));
        assert!(!same_value(&truth, &one) && same_value(&one, &point));
        assert!(!equal(&truth, &Value::Bool(false)) && !equal(&truth, &Value::Null));
        assert_ne!(key_of(&truth), key_of(&one));
        assert_eq!(key_of(&one), key_of(&point));
    }

    #[test]
    fn a_sum_that_overflows_becomes_a_float_or_does_not_happen() {
        assert!(
            matches!(bounded_sum(Number::Int(i64::MAX), Number::Int(1)), Number::Float(total) if total == TWO_63)
        );
        assert!(
            matches!(bounded_sum(Number::Float(1.6e308), Number::Float(1e308)), Number::Float(total) if total == 1.6e308)
        );
        assert!(matches!(bounded_sum(Number::Int(1), Number::Float(f64::INFINITY)), Number::Int(1)));
    }
}
