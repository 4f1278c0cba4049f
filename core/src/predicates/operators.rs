//! Operators on properties and attributes (`rules/predicates/operators.py`; section 7 of docs/semantics.md).
//!
//! A value is what a decoder gives, `None` where there is none (Python: MISSING).

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value as Literal;

use super::comparisons::{Number, literal_number, whole_number};
use super::dates::read_text;
use super::folding::Folds;
use super::re2::Pattern;
use super::tables::Locale;
use crate::spec::UnknownRule;
use crate::time::calendar::Calendar;
use crate::value::Value;

type Texts = HashSet<Box<str>, foldhash::fast::RandomState>;

/// An operator with its operand.
#[derive(Clone, Debug)]
pub enum ValueTest {
    Equal(Scalar),
    OneOf(Scalars),
    Compare(Order, Number),
    Between(Number, Number),
    /// Of texts that are instants or dates.
    CompareInstant(Order, i64, Arc<Calendar>),
    BetweenInstants(i64, i64, Arc<Calendar>),
    Contains(Scalar),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    /// The operand is folded.
    ContainsFolded(Box<str>, Arc<Folds>),
    EqualFolded(Box<str>, Arc<Folds>),
    Matches(Pattern),
    Exists(bool),
    AnyOf(Scalars),
    AllOf(Vec<Scalar>),
    Not(Box<ValueTest>),
}

#[derive(Clone, Copy, Debug)]
pub enum Order {
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Order {
    pub fn of(operator: &str) -> Option<Order> {
        Some(match operator {
            "gt" => Order::Gt,
            "gte" => Order::Gte,
            "lt" => Order::Lt,
            "lte" => Order::Lte,
            _ => return None,
        })
    }

    #[inline]
    pub fn holds<T: PartialOrd>(self, value: T, bound: T) -> bool {
        match self {
            Order::Gt => value > bound,
            Order::Gte => value >= bound,
            Order::Lt => value < bound,
            Order::Lte => value <= bound,
        }
    }
}

/// What scalars are compared with for being equal: types must agree, but 1 is 1.0.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
}

impl Scalar {
    fn of(literal: &Literal) -> Option<Scalar> {
        Some(match literal {
            Literal::Null => Scalar::Null,
            Literal::Bool(is) => Scalar::Bool(*is),
            Literal::String(text) => Scalar::Text(text.as_str().into()),
            Literal::Number(_) => Scalar::Number(literal_number(literal)?),
            Literal::Array(_) | Literal::Object(_) => return None,
        })
    }

    #[inline]
    pub fn equals(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Scalar::Text(text), Value::Str(other)) => **text == **other,
            (Scalar::Number(number), Value::Int(other)) => *number == Number::Int(*other),
            (Scalar::Number(number), Value::Float(other)) => *number == Number::Float(*other),
            (Scalar::Bool(is), Value::Bool(other)) => is == other,
            (Scalar::Null, Value::Null) => true,
            _ => false,
        }
    }
}

/// A set of scalars.
#[derive(Clone, Debug, Default)]
pub struct Scalars {
    texts: Texts,
    /// Numbers that are whole and have 64 bits: a value equals one of them if it is whole and the same.
    whole: HashSet<i64, foldhash::fast::RandomState>,
    others: Vec<Scalar>,
}

impl Scalars {
    fn new(scalars: Vec<Scalar>) -> Scalars {
        let mut set = Scalars::default();
        for each in scalars {
            match each {
                Scalar::Text(text) => drop(set.texts.insert(text)),
                Scalar::Number(number) if whole_number(number).is_some() => {
                    set.whole.extend(whole_number(number));
                }
                _ => set.others.push(each),
            }
        }
        set
    }

    fn has(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Str(text) => self.texts.contains(&**text),
            Value::List(_) | Value::Map(_) => false,
            _ => {
                let whole = Number::of(value).and_then(whole_number);
                whole.is_some_and(|number| self.whole.contains(&number))
                    || self.others.iter().any(|each| each.equals(value))
            }
        }
    }
}

/// The test of an operator; `operand` is a literal of the rule.
pub fn compile_operator(
    operator: &str,
    operand: &Literal,
    locale: &Locale,
) -> Result<ValueTest, UnknownRule> {
    known(operator, operand, locale)?
        .ok_or_else(|| UnknownRule(format!("operator {operator} with the operand {operand}")))
}

/// None: the operator is unknown, or takes no such operand.
fn known(operator: &str, operand: &Literal, locale: &Locale) -> Result<Option<ValueTest>, UnknownRule> {
    let negated = |operator| {
        compile_operator(operator, operand, locale).map(|test| Some(ValueTest::Not(Box::new(test))))
    };
    let text = || operand.as_str().map(Box::<str>::from);
    let scalars = || operand.as_array().and_then(|all| all.iter().map(Scalar::of).collect());
    Ok(match operator {
        "eq" => Scalar::of(operand).map(ValueTest::Equal),
        "ne" => return negated("eq"),
        "in" => scalars().map(Scalars::new).map(ValueTest::OneOf),
        "not_in" => return negated("in"),
        "gt" | "gte" | "lt" | "lte" => {
            Order::of(operator).and_then(|order| in_order(order, operand, &locale.calendar))
        }
        "between" => between(operand, &locale.calendar),
        "contains" => Scalar::of(operand).map(ValueTest::Contains),
        "not_contains" => return negated("contains"),
        "starts_with" => text().map(ValueTest::StartsWith),
        "ends_with" => text().map(ValueTest::EndsWith),
        "icontains" => folded(operand, locale)?.map(|of| ValueTest::ContainsFolded(of, locale.folds.clone())),
        "ieq" => folded(operand, locale)?.map(|of| ValueTest::EqualFolded(of, locale.folds.clone())),
        "matches" => match operand.as_str() {
            Some(pattern) => Some(ValueTest::Matches(Pattern::compile(pattern)?)),
            None => None,
        },
        "exists" => operand.as_bool().map(ValueTest::Exists),
        "any_of" => scalars().map(Scalars::new).map(ValueTest::AnyOf),
        "all_of" => scalars().map(ValueTest::AllOf),
        _ => None,
    })
}

fn folded(operand: &Literal, locale: &Locale) -> Result<Option<Box<str>>, UnknownRule> {
    if locale.folds.is_empty() {
        return Err(UnknownRule("no table of case folding".into()));
    }
    Ok(operand.as_str().map(|text| locale.folds.fold(text).into()))
}

fn in_order(order: Order, operand: &Literal, calendar: &Arc<Calendar>) -> Option<ValueTest> {
    Some(match operand {
        Literal::String(text) => {
            ValueTest::CompareInstant(order, read_text(text, calendar)?, calendar.clone())
        }
        _ => ValueTest::Compare(order, literal_number(operand)?),
    })
}

fn between(operand: &Literal, calendar: &Arc<Calendar>) -> Option<ValueTest> {
    match operand.as_array()?.as_slice() {
        [Literal::String(low), Literal::String(high)] => Some(ValueTest::BetweenInstants(
            read_text(low, calendar)?,
            read_text(high, calendar)?,
            calendar.clone(),
        )),
        [low, high] => Some(ValueTest::Between(literal_number(low)?, literal_number(high)?)),
        _ => None,
    }
}

impl ValueTest {
    pub fn holds(&self, value: Option<&Value<'_>>) -> bool {
        match self {
            ValueTest::Not(test) => !test.holds(value),
            ValueTest::Exists(wanted) => value.is_some_and(|each| !matches!(each, Value::Null)) == *wanted,
            _ => value.is_some_and(|value| self.holds_of(value)),
        }
    }

    fn holds_of(&self, value: &Value<'_>) -> bool {
        match self {
            ValueTest::Equal(scalar) => scalar.equals(value),
            ValueTest::OneOf(scalars) => scalars.has(value),
            ValueTest::Compare(order, bound) => {
                Number::of(value).is_some_and(|number| order.holds(number, *bound))
            }
            ValueTest::Between(low, high) => {
                Number::of(value).is_some_and(|number| *low <= number && number <= *high)
            }
            ValueTest::CompareInstant(order, bound, calendar) => {
                instant(value, calendar).is_some_and(|at_ms| order.holds(at_ms, *bound))
            }
            ValueTest::BetweenInstants(low, high, calendar) => {
                instant(value, calendar).is_some_and(|at_ms| (*low..=*high).contains(&at_ms))
            }
            ValueTest::Contains(scalar) => contains(value, scalar),
            ValueTest::AnyOf(scalars) => {
                matches!(value, Value::List(items) if items.iter().any(|each| scalars.has(each)))
            }
            ValueTest::AllOf(wanted) => match value {
                Value::List(items) => wanted.iter().all(|each| items.iter().any(|item| each.equals(item))),
                _ => false,
            },
            ValueTest::Exists(_) | ValueTest::Not(_) => self.holds(Some(value)),
            _ => match value {
                Value::Str(text) => self.holds_of_text(text),
                _ => false,
            },
        }
    }

    fn holds_of_text(&self, text: &str) -> bool {
        match self {
            ValueTest::StartsWith(start) => text.starts_with(&**start),
            ValueTest::EndsWith(end) => text.ends_with(&**end),
            ValueTest::ContainsFolded(part, folds) => folds.fold(text).contains(&**part),
            ValueTest::EqualFolded(other, folds) => *folds.fold(text) == **other,
            ValueTest::Matches(pattern) => pattern.is_found_in(text),
            _ => false,
        }
    }
}

fn instant(value: &Value<'_>, calendar: &Calendar) -> Option<i64> {
    match value {
        Value::Str(text) => read_text(text, calendar),
        _ => None,
    }
}

/// A text has a text, or a list an item.
fn contains(value: &Value<'_>, scalar: &Scalar) -> bool {
    match (value, scalar) {
        (Value::Str(text), Scalar::Text(part)) => text.contains(&**part),
        (Value::List(items), _) => items.iter().any(|each| scalar.equals(each)),
        _ => false,
    }
}
