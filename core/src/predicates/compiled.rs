//! Predicates over objects: operators on the values at paths, composed (`rules/predicates/compiled.py` and, of
//! those with dates, `rules/predicates/dates.py`).

use super::dates::DateTest;
use super::elements::Quantifier;
use super::operators::{Scalar, ValueTest, compile_operator};
use super::paths::{Getter, Subject, elements_of, getter};
use super::tables::Locale;
use crate::spec::{PredicateSpec, UnknownRule};
use crate::time::FAR_MS;
use crate::value::{Map, Value};

/// A compiled predicate over an object (an event's properties, a user's attributes) or an element of a list.
#[derive(Clone, Debug)]
pub struct Check(Node);

#[derive(Clone, Debug)]
enum Node {
    /// By far the most common.
    HasText(Getter, Box<str>),
    Test(Getter, ValueTest),
    Dated(Getter, DateTest),
    Elements(Getter, Quantifier, Box<Check>),
    Not(Box<Check>),
    All(Vec<Check>),
    Any(Vec<Check>),
}

pub fn compile(spec: &PredicateSpec, locale: &Locale) -> Result<Check, UnknownRule> {
    let all =
        |parts: &[PredicateSpec]| parts.iter().map(|each| compile(each, locale)).collect::<Result<_, _>>();
    Ok(Check(match spec {
        PredicateSpec::Test { path, operator, operand } => {
            let get = getter(path);
            if let Some(test) = DateTest::compile(operator, operand, locale)? {
                return Ok(Check(Node::Dated(get, test)));
            }
            match compile_operator(operator, operand, locale)? {
                ValueTest::Equal(Scalar::Text(text)) if path.len() == 1 => Node::HasText(get, text),
                test => Node::Test(get, test),
            }
        }
        PredicateSpec::Elements { path, quantifier, test } => {
            Node::Elements(getter(path), Quantifier::of(quantifier)?, Box::new(compile(test, locale)?))
        }
        PredicateSpec::NotTest { part } => Node::Not(Box::new(compile(part, locale)?)),
        PredicateSpec::AllTests { parts } => Node::All(all(parts)?),
        PredicateSpec::AnyTest { parts } => Node::Any(all(parts)?),
    }))
}

impl Check {
    /// Of an object, for predicates without dates against the clock.
    #[inline]
    pub fn holds(&self, properties: &Map<'_>) -> bool {
        self.holds_at(properties, 0)
    }

    /// Of an object whose clock is at an instant (an event's properties at its time).
    #[inline]
    pub fn holds_at(&self, properties: &Map<'_>, at_ms: i64) -> bool {
        self.holds_of(Subject::Object(properties), at_ms)
    }

    /// Of a value by itself, `None` where there is none: every path is empty.
    pub fn holds_of_value(&self, value: Option<&Value<'_>>, at_ms: i64) -> bool {
        self.holds_of(value.map_or(Subject::Missing, Subject::Value), at_ms)
    }

    pub fn holds_of(&self, subject: Subject<'_, '_>, at_ms: i64) -> bool {
        match &self.0 {
            Node::HasText(get, wanted) => match get.get(subject) {
                Some(Value::Str(text)) => **text == **wanted,
                _ => false,
            },
            Node::Test(get, test) => test.holds(get.get(subject)),
            Node::Dated(get, test) => test.holds(get.get(subject), at_ms),
            Node::Elements(get, quantifier, check) => {
                let elements = elements_of(get.get(subject)).iter();
                quantifier.decide(elements.map(|each| check.holds_of(Subject::Value(each), at_ms)))
            }
            Node::Not(part) => !part.holds_of(subject, at_ms),
            Node::All(parts) => parts.iter().all(|each| each.holds_of(subject, at_ms)),
            Node::Any(parts) => parts.iter().any(|each| each.holds_of(subject, at_ms)),
        }
    }

    /// Whether it has tests of dates against the clock, so that its truth changes by time.
    pub fn is_dated(&self) -> bool {
        match &self.0 {
            Node::HasText(..) | Node::Test(..) => false,
            Node::Dated(..) => true,
            Node::Elements(_, _, part) | Node::Not(part) => part.is_dated(),
            Node::All(parts) | Node::Any(parts) => parts.iter().any(Check::is_dated),
        }
    }

    /// After an instant, when a date test of an object may change by time, each by itself; `FAR_MS`: never
    /// (`changes_of`).
    pub fn next_change(&self, subject: Subject<'_, '_>, after_ms: i64) -> i64 {
        match &self.0 {
            Node::HasText(..) | Node::Test(..) => FAR_MS,
            Node::Dated(get, test) => test.next_change(get.get(subject), after_ms),
            Node::Elements(get, _, check) if check.is_dated() => elements_of(get.get(subject))
                .iter()
                .map(|each| check.next_change(Subject::Value(each), after_ms))
                .fold(FAR_MS, i64::min),
            Node::Elements(..) => FAR_MS,
            Node::Not(part) => part.next_change(subject, after_ms),
            Node::All(parts) | Node::Any(parts) => {
                parts.iter().map(|each| each.next_change(subject, after_ms)).fold(FAR_MS, i64::min)
            }
        }
    }
}
