//! Operators whose operand is data, too, a `ref`: null or of another type it acts as missing
//! (`rules/predicates/compiled.py`, holds_against; `rules/predicates/dates.py`, order_against).

use super::comparisons::Number;
use super::dates::read_text;
use super::operators::Order;
use super::tables::Locale;
use crate::spec::{Path, UnknownRule};
use crate::value::Value;

/// A property of the event that an earlier step took: the operand `{is: Ref, step, path}`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, tag = "is")]
pub enum RefSpec {
    Ref { step: String, path: Path },
}

impl RefSpec {
    /// Whether an operand is one. Another object is none, either, and no operator takes it.
    pub fn of(operand: &serde_json::Value) -> Option<RefSpec> {
        operand.is_object().then(|| serde_json::from_value(operand.clone()).ok()).flatten()
    }
}

/// An operator that compares two values of data.
#[derive(Clone, Debug)]
pub struct Against {
    kind: Kind,
    is_negated: bool,
    locale: Locale,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Equal,
    Contains,
    Ordered(Order),
    StartsWith,
    EndsWith,
    ContainsFolded,
    EqualFolded,
}

impl Against {
    pub fn compile(operator: &str, locale: &Locale) -> Result<Against, UnknownRule> {
        let kind = match operator {
            "eq" | "ne" => Kind::Equal,
            "contains" | "not_contains" => Kind::Contains,
            "starts_with" => Kind::StartsWith,
            "ends_with" => Kind::EndsWith,
            "icontains" | "ieq" if locale.folds.is_empty() => {
                return Err(UnknownRule("no table of case folding".into()));
            }
            "icontains" => Kind::ContainsFolded,
            "ieq" => Kind::EqualFolded,
            _ => match Order::of(operator) {
                Some(order) => Kind::Ordered(order),
                None => return Err(UnknownRule(format!("operator {operator} with a ref"))),
            },
        };
        let is_negated = matches!(operator, "ne" | "not_contains");
        Ok(Against { kind, is_negated, locale: locale.clone() })
    }

    pub fn holds(&self, value: Option<&Value<'_>>, operand: Option<&Value<'_>>) -> bool {
        let holds = match (value, operand) {
            (Some(value), Some(operand)) => self.holds_of(value, operand),
            _ => false,
        };
        holds != self.is_negated
    }

    fn holds_of(&self, value: &Value<'_>, operand: &Value<'_>) -> bool {
        match (self.kind, value, operand) {
            (_, _, Value::Null | Value::List(_) | Value::Map(_)) => false,
            (Kind::Equal, _, _) => equal(value, operand),
            (Kind::Contains, Value::Str(text), Value::Str(part)) => text.contains(&**part),
            (Kind::Contains, Value::List(items), _) => items.iter().any(|each| equal(each, operand)),
            (Kind::Ordered(order), Value::Str(text), Value::Str(bound)) => {
                let calendar = &self.locale.calendar;
                match (read_text(text, calendar), read_text(bound, calendar)) {
                    (Some(at_ms), Some(bound_ms)) => order.holds(at_ms, bound_ms),
                    _ => false,
                }
            }
            (Kind::Ordered(order), _, _) => match (Number::of(value), Number::of(operand)) {
                (Some(number), Some(bound)) => order.holds(number, bound),
                _ => false,
            },
            (_, Value::Str(text), Value::Str(part)) => self.holds_of_texts(text, part),
            _ => false,
        }
    }

    fn holds_of_texts(&self, text: &str, part: &str) -> bool {
        let folds = &self.locale.folds;
        match self.kind {
            Kind::StartsWith => text.starts_with(part),
            Kind::EndsWith => text.ends_with(part),
            Kind::ContainsFolded => folds.fold(text).contains(&*folds.fold(part)),
            Kind::EqualFolded => folds.fold(text) == folds.fold(part),
            Kind::Equal | Kind::Contains | Kind::Ordered(_) => false,
        }
    }
}

/// Scalars of one type that are equal; 1 is 1.0.
fn equal(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::Str(one), Value::Str(other)) => one == other,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        _ => match (Number::of(one), Number::of(other)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        },
    }
}
