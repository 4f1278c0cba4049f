//! Comparisons of an aggregate's value with its bounds (`rules/predicates/comparisons.py`).

use crate::spec::{ComparisonSpec, UnknownRule};
pub use crate::value::number::Number;
use crate::value::number::whole;

/// The number that a rule's literal is. None: it is no number, or a whole one of more than 64 bits.
pub fn literal_number(literal: &serde_json::Value) -> Option<Number> {
    let number = literal.as_number()?;
    match number.as_i64() {
        Some(number) => Some(Number::Int(number)),
        None if number.is_f64() => number.as_f64().map(Number::Float),
        None => None,
    }
}

/// The whole number that equals a number, if there is one in 64 bits.
pub fn whole_number(number: Number) -> Option<i64> {
    match number {
        Number::Int(number) => Some(number),
        Number::Float(number) => whole(number),
    }
}

/// One comparison of a number with a bound.
#[derive(Clone, Copy, Debug)]
pub enum Comparison {
    Gt(Number),
    Gte(Number),
    Lt(Number),
    Lte(Number),
    Eq(Number),
    Ne(Number),
    Between(Number, Number),
}

impl Comparison {
    pub fn build(spec: &ComparisonSpec) -> Result<Comparison, UnknownRule> {
        let ComparisonSpec::Comparison { operator, operand } = spec;
        let unknown = || UnknownRule(format!("comparison {operator} {operand}"));
        let pair = || match operand.as_array().map(Vec::as_slice) {
            Some([low, high]) => literal_number(low).zip(literal_number(high)),
            _ => None,
        };
        let one = || literal_number(operand).ok_or_else(unknown);
        Ok(match operator.as_str() {
            "gt" => Comparison::Gt(one()?),
            "gte" => Comparison::Gte(one()?),
            "lt" => Comparison::Lt(one()?),
            "lte" => Comparison::Lte(one()?),
            "eq" => Comparison::Eq(one()?),
            "ne" => Comparison::Ne(one()?),
            "between" => pair().map(|(low, high)| Comparison::Between(low, high)).ok_or_else(unknown)?,
            _ => return Err(unknown()),
        })
    }

    #[inline]
    pub fn holds(&self, value: Number) -> bool {
        match self {
            Comparison::Gt(bound) => value > *bound,
            Comparison::Gte(bound) => value >= *bound,
            Comparison::Lt(bound) => value < *bound,
            Comparison::Lte(bound) => value <= *bound,
            Comparison::Eq(bound) => value == *bound,
            Comparison::Ne(bound) => value != *bound,
            Comparison::Between(low, high) => *low <= value && value <= *high,
        }
    }
}

/// Whether a number fulfils every comparison of a condition.
#[derive(Clone, Debug)]
pub struct Compare(pub Vec<Comparison>);

/// The comparisons as one, true where all hold.
pub fn comparison_of(specs: &[ComparisonSpec]) -> Result<Compare, UnknownRule> {
    Ok(Compare(specs.iter().map(Comparison::build).collect::<Result<_, _>>()?))
}

impl Compare {
    #[inline]
    pub fn holds(&self, value: Number) -> bool {
        match &*self.0 {
            [one] => one.holds(value),
            all => all.iter().all(|each| each.holds(value)),
        }
    }

    #[inline]
    pub fn holds_of_int(&self, value: i64) -> bool {
        self.holds(Number::Int(value))
    }

    #[inline]
    pub fn holds_of_float(&self, value: f64) -> bool {
        self.holds(Number::Float(value))
    }

    /// Whether more can only make it true, or keep it so: one lower bound and nothing else.
    pub fn is_at_least(&self) -> bool {
        matches!(&*self.0, [Comparison::Gt(_) | Comparison::Gte(_)])
    }

    /// The number from which on all counts compare alike: no state needs to count further. At least 1.
    pub fn count_bound(&self) -> i64 {
        self.0.iter().fold(1, |bound, each| bound.max(needed(each)))
    }
}

pub fn is_at_least(compare: &Compare) -> bool {
    compare.is_at_least()
}

pub fn count_bound(compare: &Compare) -> i64 {
    compare.count_bound()
}

/// Counts from here on compare alike with one bound; more than 64 bits is as much as they have.
fn needed(comparison: &Comparison) -> i64 {
    let (highest, ends_there) = match comparison {
        Comparison::Gte(bound) | Comparison::Lt(bound) => (bound, true),
        Comparison::Gt(bound) | Comparison::Lte(bound) | Comparison::Eq(bound) | Comparison::Ne(bound) => {
            (bound, false)
        }
        Comparison::Between(_, high) => (high, false),
    };
    let truncated = match *highest {
        Number::Int(number) => number,
        Number::Float(number) => number as i64, // towards zero, as `int`
    };
    truncated.saturating_add(i64::from(!(ends_there && whole_number(*highest).is_some())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_apart_up_to_the_highest_bound() {
        assert_eq!(needed(&Comparison::Gte(Number::Int(3))), 3);
        assert_eq!(needed(&Comparison::Gte(Number::Float(2.5))), 3);
        assert_eq!(needed(&Comparison::Gt(Number::Float(3.0))), 4);
        assert_eq!(needed(&Comparison::Between(Number::Int(1), Number::Int(5))), 6);
        assert_eq!(Compare(vec![Comparison::Lt(Number::Int(-4))]).count_bound(), 1);
        assert_eq!(needed(&Comparison::Gt(Number::Float(1e300))), i64::MAX);
    }
}
